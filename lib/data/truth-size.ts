/** An image and the map that says what is true in it must be of one size. */
import { LexisegError } from '../errors.js';
import type { Size } from '../options.js';
import type { Truth } from './segmentation-dataset.js';

/**
 * @param path of the image, for the error
 * @param size of the image as decoded, upright, pixels
 * @throws LexisegError `ERR_DATA` with both sizes when they differ.
 */
export function checkTruthSize(path: string, { width, height }: Size, truth: Truth): void {
  if (width === truth.width && height === truth.height) return;
  const sizes = `${width} × ${height}, its truth ${truth.width} × ${truth.height}`;
  throw new LexisegError('ERR_DATA', `${path}: is ${sizes}`, { details: { path } });
}
