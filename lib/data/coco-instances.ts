/** COCO instances: a JSON file of objects with polygons or run lengths, and images. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LIMITS, type Size } from '../options.js';
import {
  dataError,
  type Fields,
  type OnProblem,
  readById,
  readJsonFile,
  readRecords,
} from './annotation-file.js';
import { type Categories, classOf, insideFolder, readCategories } from './coco-categories.js';
import { forEachRun, readMask } from './coco-mask.js';
import type { ObjectMask, SegmentationDataset, Truth } from './segmentation-dataset.js';

const LAYOUTS = [
  { json: 'instances.json', images: 'images' },
  { json: 'annotations/instances_SPLIT2017.json', images: 'SPLIT2017' },
  { json: 'annotations/instances_SPLIT2014.json', images: 'SPLIT2014' },
];

export interface ImageRecord {
  readonly file: string;
  readonly width: number;
  readonly height: number;
  readonly annotations: Fields[];
  /** What the JSON says of the image itself. */
  readonly fields: Fields;
}

/**
 * Opens a data set in COCO's format for instances. What lies outside every object is void.
 *
 * @param folder with `instances.json` and `images/`, or as COCO 2014 or 2017 is unpacked
 * @throws LexisegError `ERR_DATA` with the file and the place in it.
 */
export async function openCocoInstances(
  folder: string,
  split: string,
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const layouts = LAYOUTS.map(({ json, images }) => ({
    json: join(folder, json.replace('SPLIT', split)),
    images: join(folder, images.replace('SPLIT', split)),
  }));
  const layout = layouts.find(({ json }) => existsSync(json));
  if (layout === undefined) {
    const tried = layouts.map(({ json }) => json).join(', ');
    return dataError(folder, '', `holds no instance annotations; looked for ${tried}`);
  }
  const file = await readJsonFile(layout.json);
  const categories = readCategories(file, onProblem);
  const fileOf = (image: Fields): string => insideFolder(image, 'file_name');
  const images = readImages(file, fileOf, onProblem);
  return {
    name: basename(folder),
    classes: categories.classes,
    tasks: ['instance'],
    length: images.length,
    image: (index) => {
      const { file: name } = images[index] as ImageRecord;
      return { name, path: join(layout.images, name) };
    },
    classesOf: (index) => classesIn(images[index] as ImageRecord, categories),
    truth: async (index, tell) => readTruth(images[index] as ImageRecord, categories, tell),
  };
}

/** Classes of the objects of an image; crowds are none. */
export const classesIn = ({ annotations }: ImageRecord, categories: Categories): number[] =>
  annotations
    .filter((annotation) => !annotation.flag('iscrowd', false))
    .map((annotation) => classOf(annotation, categories))
    .filter((classIndex) => classIndex !== undefined);

/** Images with their annotations; images without one are kept. */
export function readImages(
  file: Fields,
  fileOf: (image: Fields) => string,
  onProblem: OnProblem | undefined,
): ImageRecord[] {
  const read = (image: Fields): ImageRecord => {
    return { file: fileOf(image), ...sizeOf(image), annotations: [], fields: image };
  };
  const list = file.list('images', onProblem);
  const images = readById(list, (image) => image.id('id'), read, onProblem);
  const place = (annotation: Fields): void => {
    annotation.referred('image_id', images, 'image of the file')?.annotations.push(annotation);
  };
  readRecords(file.list('annotations', onProblem), place, onProblem);
  return [...images.values()].filter((image) => image !== undefined);
}

function sizeOf(image: Fields): Size {
  const width = image.count('width');
  const height = image.count('height');
  const { imageSide, imagePixels } = LIMITS;
  if (width > imageSide) image.fail('width', `is above ${imageSide}`, width);
  if (height > imageSide) image.fail('height', `is above ${imageSide}`, height);
  if (width * height > imagePixels) {
    image.fail('width', `times height is above ${imagePixels} pixels`, width * height);
  }
  return { width, height };
}

/** The objects of an image, and a map of them. */
export function readTruth(
  { width, height, annotations }: ImageRecord,
  categories: Categories,
  onProblem: OnProblem | undefined,
): Truth {
  const read = (annotation: Fields): ObjectMask[] => {
    const runs = readMask(annotation, width, height);
    const classIndex = classOf(annotation, categories);
    const crowd = annotation.flag('iscrowd', false);
    const area = annotation.has('area') ? annotation.number('area') : areaOf(runs);
    return classIndex === undefined ? [] : [{ classIndex, crowd, runs, area }];
  };
  const objects = readRecords(annotations, read, onProblem).flat();
  const segments = objects.map(({ classIndex, crowd }, i) => ({ id: i + 1, classIndex, crowd }));
  return { width, height, ids: paint(objects, width, height), segments, objects };
}

function areaOf(runs: Uint32Array): number {
  let area = 0;
  forEachRun(runs, (start, end) => {
    area += end - start;
  });
  return area;
}

/** Every object's number where it is, smaller objects over larger ones. */
function paint(objects: readonly ObjectMask[], width: number, height: number): Uint32Array {
  const ids = new Uint32Array(width * height);
  const order = [...objects.keys()].sort(
    (a, b) => (objects[b] as ObjectMask).area - (objects[a] as ObjectMask).area,
  );
  for (const index of order) {
    forEachRun((objects[index] as ObjectMask).runs, (start, end) => {
      for (let at = start; at < end; at++) {
        ids[(at % height) * width + Math.floor(at / height)] = index + 1;
      }
    });
  }
  return ids;
}
