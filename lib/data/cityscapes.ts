/** Cityscapes: photographs of streets beside maps of objects. */
import { basename } from 'node:path';
import type { OnProblem } from './annotation-file.js';
import { classesOfVocabulary } from './dataset-classes.js';
import { firstFolder, pairedImages } from './folders.js';
import { labelMapDataset, type SegmentOfValue } from './label-maps.js';
import type { DatasetClass, SegmentationDataset } from './segmentation-dataset.js';

/** Label ids of the 19 classes, in the order of the vocabulary; all others are void. */
const LABEL_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];

/**
 * Opens `leftImg8bit/SPLIT` and the `instanceIds` maps of `gtFine/SPLIT`, whose numbers are a label
 * id, or for a countable object 1000 times it and the number of the object.
 */
export async function openCityscapes(
  folder: string,
  split: string,
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const classes = classesOfVocabulary('cityscapes');
  const paired = {
    images: firstFolder(folder, [`leftImg8bit/${split}`], 'images'),
    maps: firstFolder(folder, [`gtFine/${split}`], 'maps of objects'),
    imageEnding: /_leftImg8bit\.png$/,
    mapOf: (stem: string) => `${stem}_gtFine_instanceIds.png`,
  };
  return labelMapDataset({
    name: basename(folder),
    classes,
    tasks: ['panoptic', 'semantic', 'instance'],
    images: pairedImages(paired, onProblem),
    segmentOf: segmentOfInstanceId(classes),
  });
}

function segmentOfInstanceId(classes: readonly DatasetClass[]): SegmentOfValue {
  return (value) => {
    const single = value >= 1000;
    const classIndex = LABEL_IDS.indexOf(single ? Math.floor(value / 1000) : value);
    if (classIndex < 0) return undefined;
    // A countable class without a number is a group that nobody told apart.
    return { classIndex, crowd: !single && classes[classIndex]?.thing === true };
  };
}
