/** COCO-Stuff: COCO's photographs beside maps of 80 things and 91 kinds of stuff. */
import { basename, join } from 'node:path';
import type { OnProblem } from './annotation-file.js';
import { classesOfVocabulary } from './dataset-classes.js';
import { firstFolder, pairedImages } from './folders.js';
import { classesFrom, labelMapDataset, type SegmentOfValue } from './label-maps.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

/** Things of the 182 labels that no photograph has, counted from 0. */
const NEVER_LABELLED = new Set([11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90]);
const LABELS = 182;

/**
 * Opens `SPLIT2017` (or `images/SPLIT2017`) and the 8-bit maps of `stuffthingmaps/SPLIT2017`, whose
 * labels have gaps, or those of `stuffthingmaps_detectron2/SPLIT2017`, whose classes have none; 255
 * is void.
 */
export async function openCocoStuff(
  folder: string,
  split: string,
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const part = `${split}2017`;
  const maps = firstFolder(
    folder,
    [`stuffthingmaps_detectron2/${part}`, `stuffthingmaps/${part}`],
    'maps of classes',
  );
  const dense = maps === join(folder, `stuffthingmaps_detectron2/${part}`);
  const classes = classesOfVocabulary('coco_stuff_171');
  return labelMapDataset({
    name: `${basename(folder)}, COCO-Stuff`,
    classes,
    tasks: ['semantic'],
    images: pairedImages(
      {
        images: firstFolder(folder, [part, `images/${part}`], 'images'),
        maps,
        imageEnding: /\.jpg$/i,
        mapOf: (stem) => `${stem}.png`,
      },
      onProblem,
    ),
    segmentOf: dense ? classesFrom(0, classes.length) : classesOfLabels(),
  });
}

/** Labels that are there, closed up. */
function classesOfLabels(): SegmentOfValue {
  const present = Array.from({ length: LABELS }, (_, label) => label).filter(
    (label) => !NEVER_LABELLED.has(label),
  );
  const indexOf = new Map(present.map((label, index) => [label, index]));
  return (label) => {
    const classIndex = indexOf.get(label);
    return classIndex === undefined ? undefined : { classIndex, crowd: false };
  };
}
