/** Where the committed tiny bundles lie. */
import { fileURLToPath } from 'node:url';

const place = (name: string): string =>
  fileURLToPath(new URL(`../../models/bundles/${name}.pt`, import.meta.url));

/** Proposes masks. */
export const TINY_BUNDLE = place('tiny-fc-clip');
/** Scores places. */
export const TINY_DENSE_BUNDLE = place('tiny-pacl');

/** Classes of the drawn scene. */
export const SCENE_CLASSES = ['sky', 'mountain', 'grass', 'road', 'house', 'tree', 'dog|puppy'];
