/** ADE20K: images beside maps of classes, 150 of the challenge or 847 of the full set. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { OnProblem } from './annotation-file.js';
import { classesOfVocabulary } from './dataset-classes.js';
import { firstFolder, PARTS, pairedImages } from './folders.js';
import { classesFrom, labelMapDataset } from './label-maps.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

/** The scene parsing challenge: 8-bit maps, 0 is void, classes from 1. */
export async function openAde150(
  folder: string,
  split: 'train' | 'val',
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const part = PARTS[split];
  // Without folders of splits all images are of the one that is asked for.
  const flat = !Object.values(PARTS).some((one) => existsSync(join(folder, 'images', one)));
  const place = (kind: string): string[] => [`${kind}/${part}`, ...(flat ? [kind] : [])];
  const images = firstFolder(folder, place('images'), 'images');
  const maps = firstFolder(folder, place('annotations'), 'maps of classes');
  const classes = classesOfVocabulary('ade20k_150');
  return labelMapDataset({
    name: `${basename(folder)}, ADE20K-150`,
    classes,
    tasks: ['semantic'],
    images: pairedImages(
      { images, maps, imageEnding: /\.jpg$/i, mapOf: (stem) => `${stem}.png` },
      onProblem,
    ),
    segmentOf: classesFrom(1, classes.length),
  });
}

/** The full set as prepared for detectron2: 16-bit maps, classes from 0, others void. */
export async function openAde847(
  folder: string,
  split: 'train' | 'val',
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const part = PARTS[split];
  const classes = classesOfVocabulary('ade20k_847');
  return labelMapDataset({
    name: `${basename(folder)}, ADE20K-847`,
    classes,
    tasks: ['semantic'],
    images: pairedImages(
      {
        images: firstFolder(folder, [`images_detectron2/${part}`], 'images'),
        maps: firstFolder(folder, [`annotations_detectron2/${part}`], 'maps of classes'),
        imageEnding: /\.jpg$/i,
        mapOf: (stem) => `${stem}.tif`,
      },
      onProblem,
    ),
    segmentOf: classesFrom(0, classes.length),
  });
}
