/** COCO's two formats: panoptic annotations with their PNG, and results with run-length strings. */
import sharp from 'sharp';
import { LexisegError } from '../errors.js';
import { breathe, callNative, throwIfAborted } from '../job.js';
import { native } from '../native.js';
import { type CallOptions, checkOptions, LIMITS } from '../options.js';
import type { Segment, Segmentation } from './segmentation.js';

export interface CocoOptions extends CallOptions {
  readonly imageId?: number | string | undefined;
  /** Name of the PNG in the annotation. */
  readonly fileName?: string | undefined;
  /** Category id of each class; its index + 1 when left out. */
  readonly categoryIds?: readonly number[] | undefined;
}

export interface PanopticJson {
  readonly annotation: {
    readonly image_id: number | string;
    readonly file_name: string;
    readonly segments_info: readonly {
      readonly id: number;
      readonly category_id: number;
      readonly area: number;
      readonly bbox: readonly [number, number, number, number];
      readonly iscrowd: 0;
      readonly isthing: 0 | 1;
      readonly score: number;
    }[];
  };
  readonly categories: readonly {
    readonly id: number;
    readonly name: string;
    readonly isthing: 0 | 1;
  }[];
  /** RGB; id = R + 256 · G + 65536 · B. */
  readonly png: Buffer;
}

export interface CocoResult {
  readonly image_id: number | string;
  readonly category_id: number;
  readonly segmentation: { readonly size: readonly [number, number]; readonly counts: string };
  readonly bbox: readonly [number, number, number, number];
  readonly area: number;
  readonly score: number;
}

const PIXELS_PER_BREATH = 1 << 19;

export async function toPanopticJson(
  segmentation: Segmentation,
  options: CocoOptions,
): Promise<PanopticJson> {
  const { imageId, fileName, categoryOf } = readOptions(segmentation, options);
  if (segmentation.task === 'instance') {
    throw new LexisegError('ERR_UNSUPPORTED', 'Instances overlap: use toCocoResults instead');
  }
  const png = await panopticPng(segmentation, options.signal);
  return {
    annotation: {
      image_id: imageId,
      file_name: fileName,
      segments_info: segmentation.segments.map((segment) => ({
        id: segment.id,
        category_id: categoryOf(segment.classIndex),
        area: segment.area,
        bbox: bboxOf(segment),
        iscrowd: 0,
        isthing: segment.thing ? 1 : 0,
        score: segment.score,
      })),
    },
    categories: segmentation.classes.map(({ index, name, thing }) => ({
      id: categoryOf(index),
      name,
      isthing: thing ? 1 : 0,
    })),
    png,
  };
}

export async function toCocoResults(
  segmentation: Segmentation,
  options: CocoOptions,
): Promise<CocoResult[]> {
  const { imageId, categoryOf } = readOptions(segmentation, options);
  const { width, height } = segmentation;
  const results: CocoResult[] = [];
  for (const segment of segmentation.segments) {
    const counts = segmentation.runLengths(segment);
    results.push({
      image_id: imageId,
      category_id: categoryOf(segment.classIndex),
      segmentation: {
        size: [height, width],
        counts: callNative(() => native().rleToString(counts)),
      },
      bbox: bboxOf(segment),
      area: segment.area,
      score: segment.score,
    });
    await breathe(options.signal);
  }
  return results;
}

async function panopticPng(
  segmentation: Segmentation,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const { width, height } = segmentation;
  const { data, offset } = await segmentation.regionMap(signal);
  const rgb = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < data.length; pixel++) {
    if (pixel % PIXELS_PER_BREATH === PIXELS_PER_BREATH - 1) await breathe(signal);
    const id = (data[pixel] as number) + offset;
    rgb[3 * pixel] = id;
    rgb[3 * pixel + 1] = id >> 8;
    rgb[3 * pixel + 2] = id >> 16;
  }
  const raw = { width, height, channels: 3 } as const;
  return sharp(rgb, { raw, limitInputPixels: false }).png().toBuffer();
}

function readOptions(
  segmentation: Segmentation,
  options: CocoOptions,
): {
  imageId: number | string;
  fileName: string;
  categoryOf: (classIndex: number) => number;
} {
  checkOptions(options, ['imageId', 'fileName', 'categoryIds', 'signal'], 'options');
  throwIfAborted(options.signal);
  const { imageId = 0, fileName = `${imageId}.png`, categoryIds } = options;
  if (categoryIds !== undefined) checkCategoryIds(categoryIds, segmentation.classes.length);
  return {
    imageId,
    fileName,
    categoryOf: (classIndex) => categoryIds?.[classIndex] ?? classIndex + 1,
  };
}

function checkCategoryIds(ids: readonly number[], classCount: number): void {
  const valid = Array.isArray(ids) && ids.length === classCount && ids.every(Number.isInteger);
  if (!valid || classCount > LIMITS.classes) {
    throw new TypeError(`Expected ${classCount} integers for options.categoryIds`);
  }
}

function bboxOf({ box }: Segment): readonly [number, number, number, number] {
  return [box.x, box.y, box.width, box.height];
}
