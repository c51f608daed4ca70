/** Which images of a data set are trained on. */
import { LexisegError } from '../errors.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

/**
 * Indices of the images with a segment that has a label; of all of them where the data set says what
 * is in an image by its truth alone.
 *
 * @param labels for each class of the data set, −1 where it is not trained on
 * @throws LexisegError `ERR_DATA` when no image is left.
 */
export function trainedImages(dataset: SegmentationDataset, labels: Int32Array): number[] {
  const isTrained = (index: number): boolean =>
    dataset.classesOf?.(index).some((one) => (labels[one] as number) >= 0) ?? true;
  const images = Array.from({ length: dataset.length }, (_, index) => index).filter(isTrained);
  if (images.length > 0) return images;
  throw new LexisegError('ERR_DATA', `No image of ${dataset.name} has a segment of the classes`);
}
