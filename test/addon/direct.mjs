/** Opens the addon by its files, for threads and processes that run without the TypeScript facade. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** What `places` of `bundle.ts` tells: the loader, the libraries in order, the addon. */
export function openAddon({ loader, libraries, addon }) {
  require(loader).open(libraries);
  return require(addon);
}

/** An image of a gradient, uint8 [1, height, width, 3]. */
export function gradient(native, height, width) {
  const image = native.allocTensor([1, height, width, 3], 'uint8', false);
  const bytes = image.data();
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = i % 251;
  return image;
}
