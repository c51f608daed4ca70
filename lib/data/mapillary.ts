/** Mapillary Vistas 1.2: photographs of streets beside panoptic maps. */
import { basename } from 'node:path';
import { dataError, type OnProblem, readOne } from './annotation-file.js';
import { openPanopticLayout } from './coco-panoptic.js';
import { classesOfVocabulary } from './dataset-classes.js';
import { PARTS } from './folders.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

const LAYOUTS = [
  { json: 'SPLIT/panoptic/panoptic_2018.json', maps: 'SPLIT/panoptic', images: 'SPLIT/images' },
];

/**
 * Opens `training` or `validation` as unpacked, each with `images` and `panoptic`. Names are those of
 * the vocabulary; what is a thing is for the file to say.
 */
export async function openMapillary(
  folder: string,
  split: 'train' | 'val',
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const dataset = await openPanopticLayout(folder, LAYOUTS, PARTS[split], onProblem);
  const named = classesOfVocabulary('mapillary_vistas');
  const { length } = dataset.classes;
  if (length !== named.length) {
    const reason = `has ${length} classes, Mapillary Vistas 1.2 has ${named.length}`;
    readOne(() => dataError(folder, '', reason), onProblem);
    return dataset;
  }
  const classes = named.map((one, i) => ({ ...one, thing: dataset.classes[i]?.thing ?? true }));
  return { ...dataset, name: `${basename(folder)}, Mapillary Vistas`, classes };
}
