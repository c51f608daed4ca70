/** Batches of images with captions, for contrastive training. */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { LexisegError } from '../errors.js';
import { booleanValue, checkOptions, integerIn, numberIn, rangeIn } from '../options.js';
import type { Tensor } from '../tensor.js';
import type { ClipTokenizer } from '../text/tokenizer.js';
import type { TrainingData } from '../training/batch.js';
import type { OnProblem } from './annotation-file.js';
import {
  type ColorJitter,
  type CropRange,
  jitterColors,
  mirror,
  parseColorJitter,
  randomResizedCrop,
} from './augment.js';
import { captionFile } from './caption-files.js';
import type { ImageText } from './image-text-sample.js';
import { boxTensor, layTiles, type Mosaic, paintCanvases } from './mosaic.js';
import { openNounPrompts, type TextOf } from './noun-prompts.js';
import { Random } from './random.js';
import { batchesOf, type Placed, type SampleSource, whileOpen } from './sample-stream.js';
import { tarShards } from './tar-shards.js';
import { tokenRows } from './token-rows.js';
import { openImage } from './window-pixels.js';

export interface ImageTextOptions {
  /** Images per step of one rank. */
  readonly batchSize: number;
  /** Side of the square that images are cut to, or of the canvases of `mosaic`, pixels. */
  readonly imageSize: number;
  readonly crop?: CropRange | undefined;
  /** Probability of a mirrored image. Default 0.5. */
  readonly flip?: number | undefined;
  readonly colorJitter?: ColorJitter | undefined;
  /** Give two captions of each image, so that texts also learn from each other. Default false. */
  readonly pairedCaptions?: boolean | undefined;
  /**
   * Learn from the nouns of captions too: instead of a caption one of its nouns in a prompt, each as
   * probable. Needs the package `compromise`. Default false.
   */
  readonly nounPrompts?: boolean | undefined;
  readonly mosaic?: Mosaic | undefined;
}

const IMAGE_TEXT_KEYS = [
  'batchSize',
  'imageSize',
  'crop',
  'flip',
  'colorJitter',
  'pairedCaptions',
  'nounPrompts',
  'mosaic',
];

function parseOptions(options: ImageTextOptions) {
  checkOptions(options, IMAGE_TEXT_KEYS, 'data');
  const { crop = {} } = options;
  checkOptions(crop, ['area', 'aspect'], 'data.crop');
  const batchSize = integerIn(options.batchSize, 1, 65_536, 'data.batchSize');
  const imageSize = integerIn(options.imageSize, 1, 4_096, 'data.imageSize');
  return {
    batchSize,
    imageSize,
    crop: {
      area: rangeIn(crop.area ?? [0.6, 1], 0.01, 1, 'data.crop.area'),
      aspect: rangeIn(crop.aspect ?? [3 / 4, 4 / 3], 0.1, 10, 'data.crop.aspect'),
    },
    flip: numberIn(options.flip ?? 0.5, 0, 1, 'data.flip'),
    colorJitter: parseColorJitter(options.colorJitter, 'data.colorJitter'),
    pairedCaptions: booleanValue(options.pairedCaptions ?? false, 'data.pairedCaptions'),
    nounPrompts: booleanValue(options.nounPrompts ?? false, 'data.nounPrompts'),
    tiles: options.mosaic && layTiles(options.mosaic, imageSize, batchSize),
  };
}

/**
 * Images with captions of a folder of webdataset shards (`*.tar`), or of a `.jsonl`, `.csv` or `.tsv`
 * file.
 *
 * @param onProblem takes what is wrong with single lines or samples, which are then left out; without
 *   it the first one throws
 * @param signal ends the counting of what is in the shards
 * @throws LexisegError `ERR_DATA` for what cannot be read, with file and line.
 */
export async function openCaptions(
  path: string,
  onProblem?: OnProblem,
  signal?: AbortSignal,
): Promise<SampleSource<ImageText>> {
  const found = await stat(path).catch((cause: Error) => {
    throw new LexisegError('ERR_DATA', `Cannot read ${path}: ${cause.message}`, { cause });
  });
  return found.isDirectory() ? tarShards(path, onProblem, signal) : captionFile(path, onProblem);
}

/**
 * Image–text data of a folder of webdataset shards (`*.tar`), or of a `.jsonl`, `.csv` or `.tsv` file.
 *
 * @throws LexisegError `ERR_DATA` for what cannot be read, with file and line; `ERR_UNSUPPORTED` for
 *   `nounPrompts` without the package that finds nouns.
 */
export async function openImageText(
  path: string,
  tokenizer: ClipTokenizer,
  options: ImageTextOptions,
): Promise<TrainingData> {
  const parsed = parseOptions(options);
  const { batchSize, tiles: _, ...settings } = parsed;
  const textOf: TextOf = parsed.nounPrompts ? await openNounPrompts() : (caption) => caption;
  const source = await openCaptions(path);
  const recipe = {
    batchSize,
    ahead: 2 * batchSize,
    prepare: (placed: Placed<ImageText>, seed: number, place: number) => {
      const side = parsed.tiles?.[place]?.side ?? parsed.imageSize;
      return prepare(placed, seed, tokenizer, { ...parsed, side, textOf });
    },
    collate: (samples: readonly Prepared[]) => collate(samples, parsed),
    nameOf: ({ name }: ImageText) => name,
  };
  return {
    batchSize,
    samplesPerEpoch: source.size,
    identity: { name: basename(path), ...settings, mosaic: options.mosaic },
    batches: (request) => batchesOf(source, recipe, request),
    close: async () => {},
  };
}

interface Prepared {
  readonly rgb: Uint8Array;
  /** One or two captions. */
  readonly tokens: readonly (readonly number[])[];
}

async function prepare(
  { sample, position }: Placed<ImageText>,
  seed: number,
  tokenizer: ClipTokenizer,
  options: ReturnType<typeof parseOptions> & { readonly side: number; readonly textOf: TextOf },
): Promise<Prepared> {
  const random = new Random(seed, position);
  const { side } = options;
  const captions = draw(random, sample.captions, options.pairedCaptions ? 2 : 1);
  const texts = captions.map((caption) => options.textOf(caption, random));
  const size = { width: side, height: side };
  const rgb = await whileOpen(async () => {
    const image = await openImage(sample.image, sample.name);
    return image.pixels(randomResizedCrop(random, image, size, options.crop));
  });
  if (random.chance(options.flip)) mirror(rgb, side, 3);
  jitterColors(rgb, random, options.colorJitter);
  return { rgb, tokens: texts.map((text) => tokenizer.encode(text)) };
}

/** Different captions at random, or the same again where there are too few. */
function draw(random: Random, captions: readonly string[], count: number): string[] {
  const order = random.permutation(captions.length);
  return Array.from(
    { length: count },
    (_, i) => captions[order[i % order.length] as number] as string,
  );
}

function collate(
  samples: readonly Prepared[],
  { imageSize, tiles }: ReturnType<typeof parseOptions>,
): Record<string, Tensor> {
  const images = samples.map(({ rgb }) => rgb);
  const whole = samples.map((_, canvas) => ({ canvas, x: 0, y: 0, side: imageSize }));
  const texts = (which: number) => samples.map(({ tokens }) => tokens[which] as readonly number[]);
  const paired = (samples[0]?.tokens.length ?? 1) > 1;
  return {
    images: paintCanvases(tiles ?? whole, images, imageSize),
    ...(tiles ? { boxes: boxTensor(tiles) } : {}),
    token_ids: tokenRows(texts(0)),
    ...(paired ? { paired_token_ids: tokenRows(texts(1)) } : {}),
  };
}
