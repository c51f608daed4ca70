/** LVIS: objects of very many classes, of which each image was searched for some only. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  dataError,
  type Fields,
  type OnProblem,
  readJsonFile,
  readRecords,
} from './annotation-file.js';
import { type Categories, readCategories } from './coco-categories.js';
import { classesIn, type ImageRecord, readImages, readTruth } from './coco-instances.js';
import type {
  ClassFrequency,
  Coverage,
  DatasetClass,
  DatasetOpener,
} from './segmentation-dataset.js';

const FREQUENCIES: ReadonlyMap<unknown, ClassFrequency> = new Map([
  ['r', 'rare'],
  ['c', 'common'],
  ['f', 'frequent'],
]);

/**
 * Opens LVIS v1.
 *
 * @param folder with `lvis_v1_SPLIT.json`, itself or in `annotations/`, and COCO's images of 2017 as
 *   `train2017/` and `val2017/`
 * @throws LexisegError `ERR_DATA` with the file and the place in it.
 */
export const openLvis: DatasetOpener = async (folder, split, onProblem) => {
  const places = ['', 'annotations'].map((below) => join(folder, below, `lvis_v1_${split}.json`));
  const json = places.find((place) => existsSync(place));
  if (json === undefined) {
    return dataError(folder, '', `holds no LVIS annotations; looked for ${places.join(', ')}`);
  }
  const file = await readJsonFile(json);
  const categories = readCategories(file, onProblem);
  const images = readImages(file, imageFile, onProblem);
  const image = (index: number): ImageRecord => images[index] as ImageRecord;
  return {
    name: basename(folder),
    classes: classesOf(file, categories, onProblem),
    tasks: ['instance'],
    length: images.length,
    image: (index) => ({ name: image(index).file, path: join(folder, image(index).file) }),
    classesOf: (index) => classesIn(image(index), categories),
    truth: async (index, tell) => ({
      ...readTruth(image(index), categories, tell),
      coverage: coverageOf(image(index).fields, categories),
    }),
  };
};

/** `train2017/000000000009.jpg`: a split of LVIS has images of both of COCO's. */
function imageFile(image: Fields): string {
  const url = image.text('coco_url');
  const [file] = /(train|val)2017\/\d+\.jpg$/.exec(url) ?? [];
  return file ?? image.fail('coco_url', 'is no image of COCO 2017', url);
}

/** With how often each occurs, and names as words: "bow_(weapon)" → "bow (weapon)". */
function classesOf(
  file: Fields,
  { classes, indexOf }: Categories,
  onProblem: OnProblem | undefined,
): DatasetClass[] {
  const frequencies = new Map<number, ClassFrequency>();
  const read = (category: Fields): void => {
    const index = indexOf.get(category.raw('id') as number);
    // What is wrong with any other category was told when it was read.
    if (index === undefined) return;
    const letter = category.raw('frequency');
    const frequency = FREQUENCIES.get(letter);
    if (frequency === undefined) category.fail('frequency', 'is none of r, c and f', letter);
    else frequencies.set(index, frequency);
  };
  readRecords(file.list('categories', onProblem && (() => {})), read, onProblem);
  const words = (name: string): string => name.replaceAll('_', ' ');
  return classes.map(({ name, synonyms, ...one }, index) => ({
    ...one,
    name: words(name),
    synonyms: synonyms.map(words),
    frequency: frequencies.get(index),
  }));
}

function coverageOf(image: Fields, { indexOf }: Categories): Coverage {
  const classes = (key: string): number[] => {
    const ids = image.raw(key);
    if (!Array.isArray(ids)) return image.fail(key, 'is no list', ids);
    const known = ids.filter(
      (id) => indexOf.has(id) || image.fail(key, 'has what is no category', id),
    );
    return known.flatMap((id) => indexOf.get(id) ?? []);
  };
  return {
    absent: classes('neg_category_ids'),
    partial: classes('not_exhaustive_category_ids'),
  };
}
