/** Segmentation data sets by the name of their layout. */
import { oneOf } from '../options.js';
import { openAde150, openAde847 } from './ade20k.js';
import { dataError, type OnProblem, readOne } from './annotation-file.js';
import { openCityscapes } from './cityscapes.js';
import { openCocoInstances } from './coco-instances.js';
import { openCocoPanoptic } from './coco-panoptic.js';
import { openCocoStuff } from './coco-stuff.js';
import { DATASET_KINDS, type DatasetKind } from './dataset-kinds.js';
import { openLvis } from './lvis.js';
import { openMapillary } from './mapillary.js';
import { openContext59, openContext459, openVoc20, openVoc21 } from './pascal.js';
import type { DatasetOpener, SegmentationDataset } from './segmentation-dataset.js';
import { openVipsegFrames } from './vipseg.js';

const OPENERS: Readonly<Record<DatasetKind, DatasetOpener>> = {
  'coco-panoptic': openCocoPanoptic,
  'coco-instance': openCocoInstances,
  'coco-stuff': openCocoStuff,
  lvis: openLvis,
  'ade20k-150': openAde150,
  'ade20k-847': openAde847,
  'voc-21': openVoc21,
  'voc-20': openVoc20,
  'context-59': openContext59,
  'context-459': openContext459,
  cityscapes: openCityscapes,
  'mapillary-vistas': openMapillary,
  'vipseg-frames': openVipsegFrames,
};

/**
 * Opens a data set and reads its index; images and masks are read when they are needed.
 *
 * @param split `train` or `val`, where a layout has both; default `val`
 * @param onProblem takes what is wrong with single records, which are then left out; without it
 *   the first one throws
 * @throws LexisegError `ERR_DATA` with the file and what is wrong in it.
 */
export async function openDataset(
  kind: DatasetKind,
  folder: string,
  split: 'train' | 'val' = 'val',
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const opener: DatasetOpener = OPENERS[oneOf(kind, DATASET_KINDS, 'kind')];
  oneOf(split, ['train', 'val'], 'split');
  const dataset = await opener(folder, split, onProblem);
  if (dataset.length === 0) {
    readOne(() => dataError(folder, '', 'holds no annotated image'), onProblem);
  }
  return dataset;
}
