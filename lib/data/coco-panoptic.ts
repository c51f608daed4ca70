/** COCO panoptic: a JSON file, PNG maps of segment ids, and images. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  dataError,
  type Fields,
  type OnProblem,
  readById,
  readJsonFile,
  readRecords,
} from './annotation-file.js';
import { type Categories, classOf, insideFolder, readCategories } from './coco-categories.js';
import { readIdMap } from './id-map.js';
import type { DatasetOpener, SegmentationDataset, Truth } from './segmentation-dataset.js';

/** Ids that an error names. */
const MOST_NAMED = 20;

/** Places where the parts of a data set lie below its folder; SPLIT is filled in. */
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
  { json: 'ade20k_panoptic_SPLIT.json', maps: 'ade20k_panoptic_SPLIT', images: 'images/SPLIT' },
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

/** Opens the first of `layouts` that is there; `part` stands where a layout says SPLIT. */
export async function openPanopticLayout(
  folder: string,
  choices: readonly PanopticLayout[],
  part: string,
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  const layouts = choices.map(({ json, maps, images }) => ({
    json: join(folder, json.replaceAll('SPLIT', part)),
    maps: join(folder, maps.replaceAll('SPLIT', part)),
    images: join(folder, images.replaceAll('SPLIT', part)),
  }));
  const layout = layouts.find(({ json, maps }) => existsSync(json) && existsSync(maps));
  if (layout === undefined) {
    const tried = layouts.map(({ json }) => json).join(', ');
    return dataError(folder, '', `holds no panoptic annotations; looked for ${tried}`);
  }
  const file = await readJsonFile(layout.json);
  const categories = readCategories(file);
  const images = readById(file.list('images'), (image) => image, onProblem);
  const read = (annotation: Fields): Entry => {
    const id = annotation.id('image_id');
    const image = images.get(id) ?? annotation.fail('image_id', 'is no image of the file', id);
    return readRecord(annotation, image, categories);
  };
  const records = readRecords(file.list('annotations'), read, onProblem);
  return {
    name: basename(folder),
    classes: categories.classes,
    tasks: ['panoptic', 'semantic', 'instance'],
    length: records.length,
    image: (index) => {
      const { image } = records[index] as Entry;
      return { name: image, path: join(layout.images, image) };
    },
    truth: (index) =>
      readTruth(join(layout.maps, (records[index] as Entry).map), records[index] as Entry),
  };
}

interface Entry {
  readonly image: string;
  readonly map: string;
  readonly width: number;
  readonly height: number;
  readonly segments: Truth['segments'];
}

function readRecord(annotation: Fields, image: Fields, categories: Categories): Entry {
  const ids = new Set<number>();
  const segments = annotation.list('segments_info').map((segment) => {
    const id = segment.count('id');
    if (id === 0 || ids.has(id)) segment.fail('id', id === 0 ? 'is 0' : 'is there twice', id);
    ids.add(id);
    return { id, classIndex: classOf(segment, categories), crowd: segment.flag('iscrowd', false) };
  });
  return {
    image: insideFolder(image, 'file_name'),
    map: insideFolder(annotation, 'file_name'),
    width: image.count('width'),
    height: image.count('height'),
    segments,
  };
}

async function readTruth(path: string, record: Entry): Promise<Truth> {
  const { width, height, segments } = record;
  const map = await readIdMap(path);
  if (map.width !== width || map.height !== height) {
    dataError(path, '', `is ${map.width} × ${map.height}, its image ${width} × ${height}`);
  }
  const known = new Set(segments.map(({ id }) => id));
  const present = new Set<number>();
  let last = 0;
  for (let at = 0; at < map.ids.length; at++) {
    const id = map.ids[at] as number;
    if (id === last || id === 0) continue;
    if (!known.has(id)) {
      const place = `pixel (${at % width}, ${Math.floor(at / width)})`;
      dataError(path, place, `is of segment ${id}, which segments_info does not list`);
    }
    present.add(id);
    last = id;
  }
  const absent = [...known].filter((id) => !present.has(id));
  if (absent.length > 0) {
    const ids = absent.slice(0, MOST_NAMED).join(', ');
    dataError(path, '', `has no pixel of ${ids}, which segments_info lists`);
  }
  return { ...map, segments };
}
