/** Names of the layouts of segmentation data that can be read. */

export const DATASET_KINDS = [
  'coco-panoptic',
  'coco-instance',
  'coco-stuff',
  'lvis',
  'ade20k-150',
  'ade20k-847',
  'voc-21',
  'voc-20',
  'context-59',
  'context-459',
  'cityscapes',
  'mapillary-vistas',
  'vipseg-frames',
] as const;

export type DatasetKind = (typeof DATASET_KINDS)[number];
