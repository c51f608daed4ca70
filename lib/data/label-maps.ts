/** Data sets whose truth is a map of numbers for each image. */
import { readIdMap } from './id-map.js';
import type { DatasetClass, SegmentationDataset, Truth } from './segmentation-dataset.js';

/** An image and the map beside it. */
export interface LabelledImage {
  readonly name: string;
  readonly image: string;
  readonly map: string;
}

/** Which segment a number in a map stands for; undefined for void. */
export type SegmentOfValue = (
  value: number,
) => { readonly classIndex: number; readonly crowd: boolean } | undefined;

export interface LabelMaps {
  readonly name: string;
  readonly classes: readonly DatasetClass[];
  readonly tasks: SegmentationDataset['tasks'];
  readonly images: readonly LabelledImage[];
  readonly segmentOf: SegmentOfValue;
}

/** Each number that stands for a class is one segment of its image. */
export function labelMapDataset(maps: LabelMaps): SegmentationDataset {
  const { name, classes, tasks, images, segmentOf } = maps;
  const at = (index: number): LabelledImage => images[index] as LabelledImage;
  return {
    name,
    classes,
    tasks,
    length: images.length,
    image: (index) => ({ name: at(index).name, path: at(index).image }),
    truth: (index) => readTruth(at(index).map, segmentOf),
  };
}

async function readTruth(path: string, segmentOf: SegmentOfValue): Promise<Truth> {
  const { width, height, ids: values } = await readIdMap(path);
  const idOf = new Map<number, number>();
  const segments: Truth['segments'][number][] = [];
  const ids = new Uint32Array(values.length);
  let last = -1;
  let id = 0;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (value !== last) {
      last = value;
      const known = idOf.get(value);
      if (known === undefined) {
        const segment = segmentOf(value);
        if (segment !== undefined) segments.push({ id: segments.length + 1, ...segment });
        id = segment === undefined ? 0 : segments.length;
        idOf.set(value, id);
      } else {
        id = known;
      }
    }
    ids[at] = id;
  }
  return { width, height, ids, segments };
}

/** Numbers that count classes from `first`; all others are void. */
export function classesFrom(first: number, count: number): SegmentOfValue {
  return (value) =>
    value >= first && value < first + count
      ? { classIndex: value - first, crowd: false }
      : undefined;
}
