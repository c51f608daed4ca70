/** Where the committed tiny bundle lies. */
import { fileURLToPath } from 'node:url';

export const TINY_BUNDLE = fileURLToPath(
  new URL('../../models/bundles/tiny-fc-clip.pt', import.meta.url),
);

/** Classes of the drawn scene. */
export const SCENE_CLASSES = ['sky', 'mountain', 'grass', 'road', 'house', 'tree', 'dog|puppy'];
