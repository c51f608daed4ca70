/** Pascal VOC 2012 with its background or without, and Pascal Context with 59 or 459 classes. */
import { basename, join } from 'node:path';
import type { OnProblem } from './annotation-file.js';
import { classesOfVocabulary } from './dataset-classes.js';
import { firstFolder, listedImages, PARTS, pairedImages } from './folders.js';
import { classesFrom, labelMapDataset, type SegmentOfValue } from './label-maps.js';
import type { DatasetOpener, SegmentationDataset } from './segmentation-dataset.js';

/** 21 classes: 0 is the background. */
export const openVoc21: DatasetOpener = (folder, split, onProblem) =>
  openVoc(folder, split, 'pascal_voc_21', classesFrom(0, 21), onProblem);

/** 20 classes: the background is void. */
export const openVoc20: DatasetOpener = (folder, split, onProblem) =>
  openVoc(folder, split, 'pascal_voc_20', classesFrom(1, 20), onProblem);

async function openVoc(
  folder: string,
  split: string,
  vocabulary: string,
  segmentOf: SegmentOfValue,
  onProblem: OnProblem | undefined,
): Promise<SegmentationDataset> {
  const root = firstFolder(
    folder,
    ['VOCdevkit/VOC2012', 'VOC2012', '.'],
    'folder of Pascal VOC 2012',
  );
  const list = firstFolder(root, [`ImageSets/Segmentation/${split}.txt`], 'list of images');
  const pathsOf = (name: string) => ({
    image: join(root, 'JPEGImages', `${name}.jpg`),
    map: join(root, 'SegmentationClass', `${name}.png`),
  });
  return labelMapDataset({
    name: `${basename(folder)}, ${vocabulary}`,
    classes: classesOfVocabulary(vocabulary),
    tasks: ['semantic'],
    images: listedImages(list, pathsOf, onProblem),
    segmentOf,
  });
}

/** 59 classes from 0 in 8-bit maps, as FC-CLIP's preparation writes them; 255 is void. */
export const openContext59: DatasetOpener = (folder, split, onProblem) =>
  openContext(
    folder,
    split,
    { vocabulary: 'pascal_context_59', maps: '59', ending: 'png' },
    onProblem,
  );

/** 459 classes from 0 in 16-bit maps; 65535 is void. */
export const openContext459: DatasetOpener = (folder, split, onProblem) =>
  openContext(
    folder,
    split,
    { vocabulary: 'pascal_context_459', maps: '459', ending: 'tif' },
    onProblem,
  );

async function openContext(
  folder: string,
  split: 'train' | 'val',
  kind: { vocabulary: string; maps: string; ending: string },
  onProblem: OnProblem | undefined,
): Promise<SegmentationDataset> {
  const part = PARTS[split];
  const classes = classesOfVocabulary(kind.vocabulary);
  const paired = {
    images: firstFolder(folder, [`images/${part}`, 'images'], 'images'),
    maps: firstFolder(folder, [`annotations_ctx${kind.maps}/${part}`], 'maps of classes'),
    imageEnding: /\.jpg$/i,
    mapOf: (stem: string) => `${stem}.${kind.ending}`,
  };
  return labelMapDataset({
    name: `${basename(folder)}, ${kind.vocabulary}`,
    classes,
    tasks: ['semantic'],
    images: pairedImages(paired, onProblem),
    segmentOf: classesFrom(0, classes.length),
  });
}
