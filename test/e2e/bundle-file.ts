/** Where the committed tiny bundles lie. */
import { fileURLToPath } from 'node:url';

const place = (name: string): string =>
  fileURLToPath(new URL(`../../models/bundles/${name}.pt`, import.meta.url));

/** Proposes masks. */
export const TINY_BUNDLE = place('tiny-fc-clip');
/** Scores places. */
export const TINY_DENSE_BUNDLE = place('tiny-pacl');

/** Embeds the masks of other bundles. */
export const TINY_REGION_BUNDLE = place('tiny-ovseg');

/** Classes of the drawn scene. */
export const SCENE_CLASSES = ['sky', 'mountain', 'grass', 'road', 'house', 'tree', 'dog|puppy'];
