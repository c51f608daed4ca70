/** Which class of a data set each name of a vocabulary means. */
import { LexisegError } from '../errors.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

/**
 * For each class of the data set its label, the index of its name, or −1 where it has none. Names that
 * the data set does not have are other names of its classes in order, if there are as many and those
 * that it has stand where it has them.
 *
 * @throws LexisegError `ERR_VOCABULARY` for a class that the data set does not have.
 */
export function classLabels(
  { name, classes }: Pick<SegmentationDataset, 'name' | 'classes'>,
  names: readonly string[],
): Int32Array {
  const places = new Map(classes.map((one, index) => [one.name, index]));
  // First, because a data set may call several of its classes by one name.
  const inOrder =
    names.length === classes.length &&
    names.every((one, index) => one === classes[index]?.name || !places.has(one));
  if (inOrder) return Int32Array.from(names, (_, i) => i);
  const missing = names.filter((one) => !places.has(one));
  if (missing.length === 0) {
    return Int32Array.from(classes, (one) => names.indexOf(one.name));
  }
  throw new LexisegError(
    'ERR_VOCABULARY',
    `${name} has no class ${missing.slice(0, 5).join(', ')}; other names than its own are taken in ` +
      `its order, and must be ${classes.length}`,
    { details: { missing } },
  );
}
