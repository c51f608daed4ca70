/** COCO panoptic: a JSON file, PNG maps of segment ids, and images. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  dataError,
  type Fields,
  type OnProblem,
  readById,
  readJsonFile,
  readOne,
  readRecords,
} from './annotation-file.js';
import { type Categories, classOf, insideFolder, readCategories } from './coco-categories.js';
import { PARTS } from './folders.js';
import { readIdMap } from './id-map.js';
import type {
  DatasetOpener,
  SegmentationDataset,
  Truth,
  TruthSegment,
} from './segmentation-dataset.js';

/** Ids that an error names. */
const MOST_NAMED = 20;

/**
 * Places where the parts of a data set lie below its folder. SPLIT is filled in, and PART by what the
 * splits are called in full.
 */
export interface PanopticLayout {
  readonly json: string;
  readonly maps: string;
  readonly images: string;
}

const LAYOUTS: readonly PanopticLayout[] = [
  { json: 'panoptic.json', maps: 'panoptic', images: 'images' },
  {
    json: 'annotations/panoptic_SPLIT2017.json',
    maps: 'annotations/panoptic_SPLIT2017',
    images: 'SPLIT2017',
  },
  { json: 'annotations/panoptic_SPLIT2017.json', maps: 'panoptic_SPLIT2017', images: 'SPLIT2017' },
  { json: 'ade20k_panoptic_SPLIT.json', maps: 'ade20k_panoptic_SPLIT', images: 'images/PART' },
];

/**
 * Opens a data set in COCO panoptic format.
 *
 * @param folder with `panoptic.json`, `panoptic/` and `images/`, or as COCO 2017 is unpacked
 * @param split `train` or `val`, where a folder holds both
 * @throws LexisegError `ERR_DATA` with the file and the place in it.
 */
export const openCocoPanoptic: DatasetOpener = (folder, split, onProblem) =>
  openPanopticLayout(folder, LAYOUTS, split, onProblem);

/** Opens the first of `layouts` that is there; `split` stands where a layout says SPLIT. */
export async function openPanopticLayout(
  folder: string,
  choices: readonly PanopticLayout[],
  split: string,
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const part = split === 'train' || split === 'val' ? PARTS[split] : split;
  const place = (layout: string): string =>
    join(folder, layout.replaceAll('SPLIT', split).replaceAll('PART', part));
  const layouts = choices.map(({ json, maps, images }) => ({
    json: place(json),
    maps: place(maps),
    images: place(images),
  }));
  const layout = layouts.find(({ json, maps }) => existsSync(json) && existsSync(maps));
  if (layout === undefined) {
    const tried = layouts.map(({ json }) => json).join(', ');
    return dataError(folder, '', `holds no panoptic annotations; looked for ${tried}`);
  }
  const file = await readJsonFile(layout.json);
  const categories = readCategories(file, onProblem);
  const list = file.list('images', onProblem);
  const images = readById(list, (image) => image.id('id'), readImage, onProblem);
  const read = (annotation: Fields): Entry[] => {
    const image = annotation.referred('image_id', images, 'image of the file');
    return image === undefined ? [] : [readRecord(annotation, image, categories, onProblem)];
  };
  const records = readRecords(file.list('annotations', onProblem), read, onProblem).flat();
  return {
    name: basename(folder),
    classes: categories.classes,
    tasks: ['panoptic', 'semantic', 'instance'],
    length: records.length,
    image: (index) => {
      const { image } = records[index] as Entry;
      return { name: image, path: join(layout.images, image) };
    },
    classesOf: (index) => {
      const { segments } = records[index] as Entry;
      return segments.filter(({ crowd }) => !crowd).map(({ classIndex }) => classIndex);
    },
    truth: (index, tell) => {
      const record = records[index] as Entry;
      return readTruth(join(layout.maps, record.map), record, tell);
    },
  };
}

interface ImageRecord {
  readonly image: string;
  readonly width: number;
  readonly height: number;
}

interface Entry extends ImageRecord {
  readonly map: string;
  readonly segments: readonly TruthSegment[];
  /** Ids of segments that are wrong, which was told. */
  readonly leftOut: readonly number[];
}

function readImage(image: Fields): ImageRecord {
  return {
    image: insideFolder(image, 'file_name'),
    width: image.count('width'),
    height: image.count('height'),
  };
}

function readRecord(
  annotation: Fields,
  image: ImageRecord,
  categories: Categories,
  onProblem: OnProblem | undefined,
): Entry {
  const ids = new Set<number>();
  const read = (segment: Fields): TruthSegment[] => {
    const id = segment.count('id');
    if (id === 0 || ids.has(id)) segment.fail('id', id === 0 ? 'is 0' : 'is there twice', id);
    ids.add(id);
    const classIndex = classOf(segment, categories);
    const crowd = segment.flag('iscrowd', false);
    return classIndex === undefined ? [] : [{ id, classIndex, crowd }];
  };
  const list = annotation.list('segments_info', onProblem);
  const segments = readRecords(list, read, onProblem).flat();
  for (const { id } of segments) ids.delete(id);
  return { ...image, map: insideFolder(annotation, 'file_name'), segments, leftOut: [...ids] };
}

async function readTruth(
  path: string,
  { width, height, segments, leftOut }: Entry,
  onProblem: OnProblem | undefined,
): Promise<Truth> {
  const map = await readIdMap(path);
  if (map.width !== width || map.height !== height) {
    dataError(path, '', `is ${map.width} × ${map.height}, its image ${width} × ${height}`);
  }
  const { ids } = map;
  const known = new Set(segments.map(({ id }) => id));
  const present = new Set(leftOut);
  const unlisted = new Map<number, number>();
  let last = 0;
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] as number;
    if (id === last || id === 0) continue;
    last = id;
    if (known.has(id)) present.add(id);
    else if (!present.has(id) && !unlisted.has(id) && unlisted.size < MOST_NAMED) {
      unlisted.set(id, at);
    }
  }
  readOne(() => refuseUnlisted(path, width, unlisted), onProblem);
  const absent = [...known].filter((id) => !present.has(id)).slice(0, MOST_NAMED);
  if (absent.length > 0) {
    const refuse = () =>
      dataError(path, '', `has no pixel of ${absent.join(', ')}, which segments_info lists`);
    readOne(refuse, onProblem);
  }
  return {
    ...map,
    ids: leftOut.length + unlisted.size > 0 ? ids.map((id) => (known.has(id) ? id : 0)) : ids,
    segments: segments.filter(({ id }) => present.has(id)),
  };
}

/** @param unlisted ids with the first pixel of each */
function refuseUnlisted(path: string, width: number, unlisted: ReadonlyMap<number, number>): void {
  const [first, ...others] = unlisted;
  if (first === undefined) return;
  const [id, at] = first;
  const place = `pixel (${at % width}, ${Math.floor(at / width)})`;
  const more = others.length > 0 ? `, others of ${others.map(([other]) => other).join(', ')}` : '';
  dataError(path, place, `is of segment ${id}${more}, which segments_info does not list`);
}
