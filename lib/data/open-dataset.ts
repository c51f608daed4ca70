/** Segmentation data sets by the name of their layout. */
import { LexisegError } from '../errors.js';
import { oneOf } from '../options.js';
import { openCocoPanoptic } from './coco-panoptic.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

type Opener = (folder: string, split?: string) => Promise<SegmentationDataset>;

const OPENERS: Readonly<Record<'coco-panoptic', Opener>> = {
  'coco-panoptic': openCocoPanoptic,
};

/** Names of the layouts that can be read. */
export type DatasetKind = keyof typeof OPENERS;
export const DATASET_KINDS = Object.keys(OPENERS) as readonly DatasetKind[];

/**
 * Opens a data set and reads its index; images and masks are read when they are needed.
 *
 * @param split `train` or `val`, where a layout has both; default `val`
 * @throws LexisegError `ERR_DATA` with the file and what is wrong in it.
 */
export async function openDataset(
  kind: DatasetKind,
  folder: string,
  split: 'train' | 'val' = 'val',
): Promise<SegmentationDataset> {
  const opener: Opener = OPENERS[oneOf(kind, DATASET_KINDS, 'kind')];
  const dataset = await opener(folder, split);
  if (dataset.length > 0) return dataset;
  throw new LexisegError('ERR_DATA', `${folder} holds no annotated image`, { details: { folder } });
}
