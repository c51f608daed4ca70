/** Batches of images with masks and labels, for mask training. */
import { availableParallelism } from 'node:os';
import { expected, LexisegError } from '../errors.js';
import { checkOptions, integerIn, numberIn, rangeIn, type Size } from '../options.js';
import { Tensor } from '../tensor.js';
import type { TrainingData } from '../training/batch.js';
import {
  type ColorJitter,
  type ImageScale,
  jitterColors,
  mirror,
  parseColorJitter,
  randomWindow,
  type Window,
} from './augment.js';
import type { CaptionWords } from './caption-words.js';
import { classLabels } from './class-labels.js';
import { patchesOf } from './coco-mask.js';
import { Random } from './random.js';
import { resampleIds } from './resample.js';
import { batchesOf, indexedSource, type Placed, whileOpen } from './sample-stream.js';
import type { SegmentationDataset, Truth } from './segmentation-dataset.js';
import { tokenRows } from './token-rows.js';
import { trainedImages } from './trained-images.js';
import { checkTruthSize } from './truth-size.js';
import { openImage } from './window-pixels.js';

export interface PanopticOptions {
  /** Images per step of one rank. */
  readonly batchSize: number;
  /** Of every image after scaling, cutting and padding, pixels. */
  readonly imageSize: Size;
  /**
   * Class names in the order of the trainer's vocabulary; segments of others are left out. As many
   * names as the data set has, and other ones, are its classes in order: engineered names for plain.
   */
  readonly classes: readonly string[];
  /** Large-scale jitter: size of the image relative to `imageSize`. Default [0.1, 2]. */
  readonly scale?: readonly [number, number] | undefined;
  /** Instead of `scale`: lengths of the shorter edge, pixels, of which each image gets one. */
  readonly shortestEdges?: readonly number[] | undefined;
  /** With `shortestEdges`: what the longer edge never passes, pixels. Default twice the longest. */
  readonly longestEdge?: number | undefined;
  /** Probability of a mirrored image. Default 0.5. */
  readonly flip?: number | undefined;
  readonly colorJitter?: ColorJitter | undefined;
  /** Of the images' captions, from `openCaptionWords`, for bundles whose loss reads them. */
  readonly words?: CaptionWords | undefined;
}

/** What padding looks like, before normalisation. */
const PADDING = 128;

/** Of edges that images are scaled to, pixels. */
const EDGES = [8, 16_384] as const;
const MOST_EDGES = 1_000;

const KEYS = [
  'batchSize',
  'imageSize',
  'classes',
  'scale',
  'shortestEdges',
  'longestEdge',
  'flip',
  'colorJitter',
  'words',
];

function parseOptions(options: PanopticOptions) {
  checkOptions(options, KEYS, 'data');
  const { imageSize } = options;
  checkOptions(imageSize, ['width', 'height'], 'data.imageSize');
  return {
    batchSize: integerIn(options.batchSize, 1, 4_096, 'data.batchSize'),
    imageSize: {
      width: integerIn(imageSize.width, 32, 8_192, 'data.imageSize.width'),
      height: integerIn(imageSize.height, 32, 8_192, 'data.imageSize.height'),
    },
    imageScale: parseScale(options),
    flip: numberIn(options.flip ?? 0.5, 0, 1, 'data.flip'),
    colorJitter: parseColorJitter(options.colorJitter, 'data.colorJitter'),
    words: options.words,
  };
}

function parseScale({ scale, shortestEdges, longestEdge }: PanopticOptions): ImageScale {
  if (shortestEdges === undefined) {
    if (longestEdge !== undefined)
      throw expected('"shortestEdges" beside it', 'data.longestEdge', longestEdge);
    return { scale: rangeIn(scale ?? [0.1, 2], 0.01, 100, 'data.scale') };
  }
  if (scale !== undefined) throw expected('no "shortestEdges" beside it', 'data.scale', scale);
  if (
    !Array.isArray(shortestEdges) ||
    shortestEdges.length === 0 ||
    shortestEdges.length > MOST_EDGES
  ) {
    throw expected(`1 to ${MOST_EDGES} lengths`, 'data.shortestEdges', shortestEdges);
  }
  const edges = shortestEdges.map((edge, i) =>
    integerIn(edge, ...EDGES, `data.shortestEdges[${i}]`),
  );
  const longest = longestEdge ?? 2 * Math.max(...edges);
  return {
    shortestEdges: edges,
    longestEdge: integerIn(longest, EDGES[0], 2 * EDGES[1], 'data.longestEdge'),
  };
}

/**
 * Training data of a segmentation data set. Crowds and void are not trained on. Images without a
 * segment of the classes are left out where the data set's index says so, and else are empty ones.
 *
 * @throws LexisegError `ERR_VOCABULARY` for a class that the data set does not have, `ERR_DATA` when
 *   no image has a segment of the classes, or no caption is of any of its images.
 */
export function panopticData(dataset: SegmentationDataset, options: PanopticOptions): TrainingData {
  const parsed = parseOptions(options);
  const labels = classLabels(dataset, options.classes);
  const images = trainedImages(dataset, labels);
  if (parsed.words !== undefined) checkCaptioned(dataset, images, parsed.words);
  const recipe = {
    batchSize: parsed.batchSize,
    ahead: parsed.batchSize + availableParallelism(),
    prepare: (placed: Placed<number>, seed: number) =>
      prepare(dataset, labels, parsed, placed, seed),
    collate: (samples: readonly Prepared[]) => collate(samples, parsed.imageSize),
    nameOf: (index: number) => dataset.image(index).name,
  };
  const source = indexedSource(images.length, (index) => images[index] as number);
  return {
    batchSize: parsed.batchSize,
    samplesPerEpoch: images.length,
    identity: identityOf(dataset, options.classes, parsed),
    batches: (request) => batchesOf(source, recipe, request),
    close: async () => {},
  };
}

function identityOf(
  { name }: SegmentationDataset,
  classes: readonly string[],
  { imageSize, imageScale, flip, colorJitter, words }: ReturnType<typeof parseOptions>,
): Readonly<Record<string, unknown>> {
  return {
    ...{ name, classes, imageSize, ...imageScale, flip, colorJitter },
    words: words !== undefined,
  };
}

function checkCaptioned(
  dataset: SegmentationDataset,
  images: readonly number[],
  words: CaptionWords,
): void {
  if (images.some((index) => words.has(dataset.image(index).path))) return;
  throw new LexisegError('ERR_DATA', `No caption is of an image of ${dataset.name} to train on`);
}

interface Prepared {
  readonly rgb: Uint8Array;
  /** [count, H, W] of 0 and 1. */
  readonly masks: Uint8Array;
  readonly labels: readonly number[];
  /** Token ids of what a caption names. */
  readonly words: readonly (readonly number[])[];
}

async function prepare(
  dataset: SegmentationDataset,
  labels: Int32Array,
  options: ReturnType<typeof parseOptions>,
  { sample, position }: Placed<number>,
  seed: number,
): Promise<Prepared> {
  const random = new Random(seed, position);
  const { width, height } = options.imageSize;
  const { window, part, found } = await whileOpen(() =>
    cut(dataset, labels, options, sample, random),
  );
  const { outWidth, outHeight } = window;
  jitterColors(part, random, options.colorJitter);
  const rgb = new Uint8Array(width * height * 3).fill(PADDING);
  for (let y = 0; y < outHeight; y++) {
    rgb.set(part.subarray(y * outWidth * 3, (y + 1) * outWidth * 3), y * width * 3);
  }
  if (random.chance(options.flip)) {
    // Padding stays at the right, where inference has it.
    mirror(rgb, width, 3, outWidth);
    mirror(found.masks, width, 1, outWidth);
  }
  // Drawn last: with and without words an image looks the same.
  const words = options.words?.draw(dataset.image(sample).path, random) ?? [];
  return { rgb, ...found, words };
}

/** A random part of an image, and the masks in it. */
async function cut(
  dataset: SegmentationDataset,
  labels: Int32Array,
  { imageSize, imageScale }: ReturnType<typeof parseOptions>,
  sample: number,
  random: Random,
): Promise<{ window: Window; part: Uint8Array; found: Masks }> {
  const { name, path } = dataset.image(sample);
  const [image, truth] = await Promise.all([openImage(path, name), dataset.truth(sample)]);
  checkTruthSize(path, image, truth);
  const window = randomWindow(random, image, imageSize, imageScale);
  const part = await image.pixels(window);
  return { window, part, found: masksOf(truth, window, labels, imageSize) };
}

interface Masks {
  readonly masks: Uint8Array;
  readonly labels: readonly number[];
}

/** A mask and a label for each segment or whole object that is seen and trained on. */
function masksOf(truth: Truth, window: Window, labels: Int32Array, size: Size): Masks {
  const { objects } = truth;
  if (objects === undefined) return masksOfSegments(truth, window, labels, size);
  const shown = objects
    .filter(({ classIndex, crowd }) => !crowd && (labels[classIndex] as number) >= 0)
    .map((object) => ({ object, patches: patchesOf(object.runs, truth, window) }))
    .filter(({ patches }) => patches.length > 0);
  const area = size.width * size.height;
  const masks = new Uint8Array(shown.length * area);
  for (const [index, { patches }] of shown.entries()) {
    for (const { left, top, right, bottom } of patches) {
      for (let y = top; y < bottom; y++) {
        const row = index * area + y * size.width;
        for (let at = row + left; at < row + right; at++) masks[at] = 1;
      }
    }
  }
  return { masks, labels: shown.map(({ object }) => labels[object.classIndex] as number) };
}

function masksOfSegments(truth: Truth, window: Window, labels: Int32Array, size: Size): Masks {
  const { outWidth, outHeight } = window;
  const ids = resampleIds(truth.ids, truth.width, window, new Uint32Array(outWidth * outHeight));
  const present = new Set(ids);
  const chosen = truth.segments.filter(
    ({ id, classIndex, crowd }) => !crowd && present.has(id) && (labels[classIndex] as number) >= 0,
  );
  const area = size.width * size.height;
  const offsets = new Map(chosen.map(({ id }, index) => [id, index * area]));
  const masks = new Uint8Array(chosen.length * area);
  let last = -1;
  let offset: number | undefined;
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] as number;
    if (id !== last) {
      offset = offsets.get(id);
      last = id;
    }
    if (offset === undefined) continue;
    masks[offset + Math.floor(at / outWidth) * size.width + (at % outWidth)] = 1;
  }
  return { masks, labels: chosen.map(({ classIndex }) => labels[classIndex] as number) };
}

function collate(samples: readonly Prepared[], size: Size): Record<string, Tensor> {
  const { width, height } = size;
  const images = new Uint8Array(samples.length * width * height * 3);
  const total = samples.reduce((sum, { labels }) => sum + labels.length, 0);
  const masks = new Uint8Array(total * width * height);
  const labels = new BigInt64Array(total);
  const counts = new BigInt64Array(samples.length);
  let row = 0;
  for (const [index, sample] of samples.entries()) {
    images.set(sample.rgb, index * width * height * 3);
    masks.set(sample.masks, row * width * height);
    for (const label of sample.labels) labels[row++] = BigInt(label);
    counts[index] = BigInt(sample.labels.length);
  }
  const words = samples.flatMap((sample) => sample.words);
  const wordCounts = BigInt64Array.from(samples, (sample) => BigInt(sample.words.length));
  return {
    images: Tensor.from(images, [samples.length, height, width, 3]),
    masks: Tensor.from(masks, [total, height, width]),
    labels: Tensor.from(labels, [total]),
    mask_counts: Tensor.from(counts, [samples.length]),
    ...(words.length > 0
      ? { word_ids: tokenRows(words), word_counts: Tensor.from(wordCounts, [samples.length]) }
      : {}),
  };
}
