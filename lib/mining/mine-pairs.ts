/** Masks and words that belong together, found in images with captions (arXiv 2210.04150, sec. 3.2). */

import type { ImageText } from '../data/image-text-sample.js';
import type { SampleSource } from '../data/sample-stream.js';
import { LexisegError } from '../errors.js';
import { decodeImage } from '../image.js';
import { float32OnHost } from '../inference/host-numbers.js';
import { product } from '../inference/unit-vectors.js';
import { throwIfAborted } from '../job.js';
import { checkCallback, checkOptions, numberIn, type Progress } from '../options.js';
import type { Proposals } from '../proposals.js';
import type { PlaceGrid } from '../results/heat-map.js';
import type { Segmenter } from '../segmenter.js';
import { Tensor } from '../tensor.js';
import { type NounFinder, openNounFinder } from '../text/nouns.js';
import { maskedCrop } from './masked-crop.js';
import { PairFolder } from './pair-folder.js';

export interface MiningOptions {
  /** Probability above which a pixel belongs to a mask, (0, 1). Default 0.5. */
  readonly threshold?: number | undefined;
  /** Least cosine of a mask's embedding and its word, [-1, 1]. Default: none is refused. */
  readonly leastCosine?: number | undefined;
  /** `{}` is the word. Default: the first prompt template of the bundle. */
  readonly template?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each image. */
  readonly onProgress?: ((progress: Progress & { readonly pairs: number }) => void) | undefined;
}

/** What a run has found so far. */
export interface MiningReport {
  readonly images: number;
  readonly imagesWithoutNouns: number;
  readonly pairs: number;
  readonly uniqueNouns: number;
  /** How often each noun was found, the most frequent first. */
  readonly nouns: Readonly<Record<string, number>>;
}

const REGIONS = 'out_of_vocabulary_embeddings';
const KEYS = ['threshold', 'leastCosine', 'template', 'signal', 'onProgress'];

interface Plan {
  readonly threshold: number;
  readonly leastCosine: number;
  readonly template: string;
  readonly signal: AbortSignal | undefined;
}

/**
 * Writes masked crops and `pairs.tsv` (columns title, filepath) into `folder`: for each noun of an
 * image's captions the proposal that CLIP finds most like it. A run that was stopped goes on where
 * it was.
 *
 * @throws LexisegError `ERR_UNSUPPORTED` when the bundle proposes no regions with embeddings, or the
 *   tagger of nouns is not installed; `ERR_OUTPUT` when the folder cannot be written.
 */
export async function minePairs(
  segmenter: Segmenter,
  images: SampleSource<ImageText>,
  folder: string,
  options: MiningOptions = {},
): Promise<MiningReport> {
  checkOptions(options, KEYS, 'options');
  checkCallback(options.onProgress, 'options.onProgress');
  const plan = parsePlan(options, segmenter);
  const { signal } = plan;
  if (!segmenter.manifest.proposals.includes(REGIONS)) {
    throw new LexisegError('ERR_UNSUPPORTED', 'The bundle proposes no regions with embeddings', {
      details: { proposals: segmenter.manifest.proposals },
    });
  }
  const nounsOf = await openNounFinder();
  const { threshold, leastCosine, template } = plan;
  const settings = { weights: segmenter.label.sha256, threshold, leastCosine, template };
  const out = await PairFolder.open(folder, images.size, settings);
  try {
    const { done } = out;
    if (done >= images.size) return out.report;
    // One pass of the stream; where a sample stands in it follows from the seed alone.
    const stream = images.stream({ seed: 0, wants: (position) => position >= done, signal });
    for await (const { sample, position } of stream) {
      throwIfAborted(signal);
      await out.add(position, await pairsOf(segmenter, sample, nounsOf, plan));
      options.onProgress?.({ done: position + 1, total: images.size, pairs: out.pairs });
      if (position + 1 >= images.size) break;
    }
    return out.report;
  } finally {
    await out.close();
  }
}

function parsePlan(options: MiningOptions, { manifest }: Segmenter): Plan {
  const [usual = '{}'] = manifest.promptTemplates;
  const template = options.template ?? usual;
  if (template.split('{}').length !== 2) {
    throw new RangeError(`Expected one {} in options.template but received ${template}`);
  }
  return {
    threshold: numberIn(options.threshold ?? 0.5, 0.001, 0.999, 'options.threshold'),
    leastCosine: numberIn(options.leastCosine ?? -1, -1, 1, 'options.leastCosine'),
    template,
    signal: options.signal,
  };
}

/** A noun, its finished text, and the picture of its region. */
export interface MinedPair {
  readonly noun: string;
  readonly title: string;
  readonly png: Buffer;
}

async function pairsOf(
  segmenter: Segmenter,
  sample: ImageText,
  nounsOf: NounFinder,
  plan: Plan,
): Promise<MinedPair[]> {
  const nouns = [...new Set(sample.captions.flatMap((caption) => nounsOf(caption)))];
  if (nouns.length === 0) return [];
  const titles = nouns.map((noun) => plan.template.replace('{}', noun));
  const { signal } = plan;
  const image = await decodeImage(sample.image, { signal, copy: 'auto' }).catch((cause) => {
    if (!(cause instanceof LexisegError) || cause.code !== 'ERR_IMAGE_READ') throw cause;
    throw new LexisegError(cause.code, `${sample.name}: ${cause.message}`, { cause });
  });
  const raw = { data: image.rgb, width: image.width, height: image.height, channels: 3 } as const;
  using proposals = await segmenter.proposeMasks(raw, { signal });
  using texts = await segmenter.encodeText(titles, { signal });
  const words = await numbersOf(texts, signal);
  const found = await regionsOf(proposals, signal);
  const pairs: MinedPair[] = [];
  for (const [i, noun] of nouns.entries()) {
    const best = bestRegion(found, words.subarray(i * found.width, (i + 1) * found.width));
    if (best === undefined || best.cosine < plan.leastCosine) continue;
    const png = await maskedCrop(image, found.maskOf(best.query), plan.threshold);
    if (png !== undefined) pairs.push({ noun, title: titles[i] as string, png });
  }
  return pairs;
}

const numbersOf = (tensor: Tensor, signal: AbortSignal | undefined): Promise<Float32Array> =>
  float32OnHost(Tensor.unwrap(tensor, 'tensor'), signal);

/** What was proposed for one image, in JavaScript's own memory. */
interface Regions {
  readonly count: number;
  /** Numbers of an embedding. */
  readonly width: number;
  /** float32 [Q, D]. */
  readonly embeddings: Float32Array;
  /** Not 0 where the mask has a pixel. */
  readonly valid: Float32Array;
  maskOf(query: number): PlaceGrid;
}

async function regionsOf(proposals: Proposals, signal: AbortSignal | undefined): Promise<Regions> {
  const { maskLogits, networkSize, validSize } = proposals;
  const regions = proposals.tensor(REGIONS);
  const [, count = 0, dimension = 0] = regions.shape;
  const [, , height = 0, width = 0] = maskLogits.shape;
  const logits = await numbersOf(maskLogits, signal);
  const area = { top: 0, left: 0, ...networkSize };
  return {
    count,
    width: dimension,
    embeddings: await numbersOf(regions, signal),
    valid: await numbersOf(proposals.tensor('mask_valid'), signal),
    maskOf: (query) => {
      const values = logits.subarray(query * width * height, (query + 1) * width * height);
      return { area, validSize, values, width, height };
    },
  };
}

function bestRegion(
  { count, width, embeddings, valid }: Regions,
  word: Float32Array,
): { query: number; cosine: number } | undefined {
  let best: { query: number; cosine: number } | undefined;
  for (let query = 0; query < count; query++) {
    if (valid[query] === 0) continue;
    const cosine = product(embeddings.subarray(query * width, (query + 1) * width), word);
    if (best === undefined || cosine > best.cosine) best = { query, cosine };
  }
  return best;
}
