/** Images in a folder for each class, as ImageNet comes and most small sets can be unpacked. */
import { readdirSync, statSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { dataError } from './annotation-file.js';
import { IMAGE_EXTENSIONS } from './image-text-sample.js';
import type { DatasetClass } from './segmentation-dataset.js';

/** Whether it is an image, and none that a system hides ("._cat.jpg"). */
const isImage = (file: string): boolean =>
  !basename(file).startsWith('.') &&
  IMAGE_EXTENSIONS.includes(extname(file).slice(1).toLowerCase());

/** Images of which each shows one class. */
export interface ImageFolders {
  /** What errors and reports call it. */
  readonly name: string;
  /** By the names of their folders with spaces for underscores, in the order of the folders. */
  readonly classes: readonly DatasetClass[];
  /** By class, then by name. */
  readonly images: readonly { readonly path: string; readonly classIndex: number }[];
}

/**
 * Reads which images lie in the folders below `folder`; folders sort by their characters' numbers, as
 * ImageNet's do, and may themselves hold folders.
 *
 * @throws LexisegError `ERR_DATA` for what cannot be read, or holds no image in a folder of a class.
 */
export function openImageFolders(folder: string): ImageFolders {
  const names = listed(folder, () =>
    readdirSync(folder).filter((name) => name[0] !== '.' && isFolder(join(folder, name))),
  );
  const images = names.flatMap((name, classIndex) => {
    const place = join(folder, name);
    return listed(place, () =>
      readdirSync(place, { recursive: true, encoding: 'utf8' }).filter(isImage),
    ).map((file) => ({ path: join(place, file), classIndex }));
  });
  if (images.length === 0) dataError(folder, '', 'holds no folder of a class with images in it');
  return {
    name: basename(resolve(folder)),
    classes: names.map((name) => ({
      name: name.replaceAll('_', ' '),
      synonyms: [],
      thing: true,
    })),
    images,
  };
}

const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

function listed(place: string, read: () => string[]): string[] {
  try {
    return read().sort();
  } catch (cause) {
    return dataError(place, '', `cannot be read: ${(cause as Error).message}`, cause);
  }
}
