/** ADE20K: images beside maps of classes, 150 of the challenge or 847 of the full set. */
import { basename } from 'node:path';
import { readVocabulary } from '../text/vocabulary-file.js';
import type { OnProblem } from './annotation-file.js';
import { firstFolder, pairedImages } from './folders.js';
import { classesFrom, labelMapDataset } from './label-maps.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

const PARTS = { train: 'training', val: 'validation' };

/** The scene parsing challenge: 8-bit maps, 0 is void, classes from 1. */
export async function openAde150(
  folder: string,
  split: 'train' | 'val',
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const part = PARTS[split];
  const images = firstFolder(folder, [`images/${part}`, 'images'], 'images');
  const maps = firstFolder(folder, [`annotations/${part}`, 'annotations'], 'maps of classes');
  const { classes } = readVocabulary('ade20k_150');
  return labelMapDataset({
    name: `${basename(folder)}, ADE20K-150`,
    classes: classes.map(({ name, synonyms = [], thing = true }) => ({ name, synonyms, thing })),
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
  const { classes } = readVocabulary('ade20k_847');
  return labelMapDataset({
    name: `${basename(folder)}, ADE20K-847`,
    classes: classes.map(({ name, synonyms = [], thing = true }) => ({ name, synonyms, thing })),
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
