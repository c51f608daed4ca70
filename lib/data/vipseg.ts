/** VIPSeg's layout: folders of frames beside folders of maps whose numbers last through a video. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { oneOf } from '../options.js';
import {
  dataError,
  type OnProblem,
  readJsonList,
  readOne,
  readRecords,
} from './annotation-file.js';
import { classesOfVocabulary } from './dataset-classes.js';
import { filesIn, firstFolder } from './folders.js';
import { readIdMap } from './id-map.js';
import type { DatasetClass, SegmentationDataset, Truth } from './segmentation-dataset.js';
import { framesOf, type TrueVideo, type VideoDataset } from './video-dataset.js';

const CATEGORIES = 'panoVIPSeg_categories.json';
/** Numbers that an error names. */
const MOST_NAMED = 20;
/** A thing's number is (class + 1) times this and the number of the object. */
const OBJECTS = 100;
/** The classes that GKC's split of the 124 never trains on (arXiv 2303.09181, sec. 4). */
const UNSEEN = new Set([
  ...['basket', 'box', 'fan', 'printer', 'instrument', 'bathtub', 'blackboard', 'ice'],
  ...['trash can', 'tyre', 'grandstand', 'pillar'],
]);

/**
 * Opens `imgs/VIDEO/*.jpg` and `panomasks/VIDEO/*.png` of the videos that SPLIT.txt lists. A map
 * holds 0 for void, class + 1 for stuff, and (class + 1) * 100 + object for things. Classes are those
 * of `panoVIPSeg_categories.json` where there is one, else VIPSeg's 124.
 *
 * @param onProblem takes what is wrong with single videos, which are then left out; without it the
 *   first one throws
 * @throws LexisegError `ERR_DATA` with the file and what is wrong in it.
 */
export async function openVipseg(
  folder: string,
  split: 'train' | 'val' | 'test' = 'val',
  onProblem?: OnProblem,
): Promise<VideoDataset> {
  oneOf(split, ['train', 'val', 'test'], 'split');
  const classes = await readClasses(folder);
  const images = firstFolder(folder, ['imgs', 'images'], 'frames');
  const maps = firstFolder(folder, ['panomasks'], 'maps of objects');
  const open = (name: string): TrueVideo => openVideo(name, images, maps, classes);
  const videos = readRecords(listed(folder, split, onProblem), open, onProblem);
  return { name: basename(folder), classes, videos };
}

/** The frames of `openVipseg`, as images. */
export async function openVipsegFrames(
  folder: string,
  split: 'train' | 'val',
  onProblem?: OnProblem,
): Promise<SegmentationDataset> {
  return framesOf(await openVipseg(folder, split, onProblem));
}

async function readClasses(folder: string): Promise<DatasetClass[]> {
  const classes = await listedClasses(folder);
  if (classes.length !== 124) return classes;
  return classes.map((one) => ({ ...one, seen: one.seen ?? !UNSEEN.has(one.name) }));
}

async function listedClasses(folder: string): Promise<DatasetClass[]> {
  const file = join(folder, CATEGORIES);
  if (!existsSync(file)) return classesOfVocabulary('vipseg_124');
  const categories = await readJsonList(file);
  return categories.map((one, index) => {
    const id = one.number('id');
    if (id !== index) dataError(file, `[${index}].id`, `is ${id}; ids count from 0`);
    const [name = '', ...others] = one.text('name').split('_or_').map(spoken);
    const synonyms = [...others, ...one.texts('synonyms')];
    const seen = one.has('seen') ? { seen: one.flag('seen', true) } : {};
    return { name, synonyms, thing: one.number('isthing') === 1, ...seen };
  });
}

const spoken = (name: string): string => name.replaceAll('_', ' ').trim();

function listed(folder: string, split: string, onProblem: OnProblem | undefined): string[] {
  const file = join(folder, `${split}.txt`);
  if (!existsSync(file)) return dataError(file, '', 'is not there; it lists the videos');
  const read = (name: string, index: number): string[] => {
    if (basename(name) !== name || name.startsWith('.')) {
      dataError(`${file}:${index + 1}`, '', 'names no folder of this data set');
    }
    return name === '' ? [] : [name];
  };
  const lines = readFileSync(file, 'utf8').split(/\r?\n/);
  const names = readRecords(lines, read, onProblem).flat();
  if (names.length === 0) dataError(file, '', 'lists no videos');
  return names;
}

function openVideo(
  name: string,
  images: string,
  maps: string,
  classes: readonly DatasetClass[],
): TrueVideo {
  const folder = join(images, name);
  if (!existsSync(folder)) dataError(folder, '', 'is not there');
  const { compare } = new Intl.Collator('en', { numeric: true });
  // None that a system hides ("._0001.jpg").
  const frames = filesIn(folder)
    .filter((file) => /^[^.].*\.(jpe?g|png)$/i.test(file))
    .sort(compare);
  if (frames.length === 0) dataError(folder, '', 'holds no frames');
  const mapOf = (index: number): string => {
    const frame = frames[index] as string;
    return join(maps, name, `${frame.slice(0, -extname(frame).length)}.png`);
  };
  return {
    name,
    length: frames.length,
    frame: (index) => join(folder, frames[index] as string),
    truth: (index, onProblem) => readTruth(mapOf(index), classes, onProblem),
  };
}

async function readTruth(
  file: string,
  classes: readonly DatasetClass[],
  onProblem: OnProblem | undefined,
): Promise<Truth> {
  const { width, height, ids } = await readIdMap(file);
  const present = new Set<number>();
  let last = 0;
  for (const id of ids) {
    if (id !== last) present.add(id);
    last = id;
  }
  present.delete(0);
  const unknown: number[] = [];
  const segments = [...present].flatMap((id) => {
    const single = id > classes.length;
    const classIndex = (single ? Math.floor(id / OBJECTS) : id) - 1;
    const known = classes[classIndex];
    if (known === undefined) unknown.push(id);
    // A countable class without an object's number is a group that nobody told apart.
    return known === undefined ? [] : [{ id, classIndex, crowd: !single && known.thing }];
  });
  if (unknown.length === 0) return { width, height, ids, segments };
  const shown = unknown.slice(0, MOST_NAMED).join(', ');
  readOne(() => dataError(file, '', `holds ${shown}, which is no class`), onProblem);
  const known = new Set(segments.map(({ id }) => id));
  return { width, height, ids: ids.map((id) => (known.has(id) ? id : 0)), segments };
}
