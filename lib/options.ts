/** Option types, every default of the facade, and the one check that catches misspelt options. */
import { expected, outOfRange } from './errors.js';

/** What a segmentation answers: a class per pixel, disjoint segments, or overlapping objects. */
export type Task = 'semantic' | 'panoptic' | 'instance';

/** Templates of a vocabulary: a named set, or strings with one or more `{}`. */
export type Templates = 'bundle' | 'photo' | 'bare' | readonly string[];

/** Numbers that decide which masks become segments. */
export interface Thresholds {
  /** A query takes part in a panoptic map when its class probability is above this, [0, 1]. */
  readonly objectMask: number;
  /** A panoptic segment is kept when it wins at least this share of its own mask, [0, 1]. */
  readonly overlap: number;
  /** An instance is kept when its score is at least this, [0, 1]. */
  readonly instanceScore: number;
  /** How many (query, class) pairs are looked at for instances. */
  readonly instanceTopK: number;
  /**
   * Of bundles that score places and not masks: pixels whose distribution over the classes has more
   * entropy than this, nats, get no class. Left out, every pixel gets one.
   */
  readonly entropy?: number | undefined;
}

/** Width and height in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Work done so far, in the unit of the call (prompts, images). */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** Every heavy call takes a signal; a call that is cancelled rejects with `ERR_ABORTED`. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface VocabularyOptions extends CallOptions {
  readonly templates?: Templates | undefined;
  /** Two classes of one name: refuse them, or keep them apart by their index alone. */
  readonly duplicates?: 'refuse' | 'keep' | undefined;
  /** Called after each chunk of prompts that had to be encoded. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface ImageOptions extends CallOptions {
  /**
   * `auto` copies pixels and encoded bytes given as arrays. `never` borrows them: they must not be
   * written or resized until the call settles and its results are disposed, and can be transferred
   * to no other thread any more.
   */
  readonly copy?: 'auto' | 'never' | undefined;
}

export interface ImageBatchOptions extends CallOptions {
  /** Images of equal size that run together; of very large ones fewer do. Default 16. */
  readonly batchSize?: number | undefined;
}

export interface SegmentOptions<Kind extends Task = Task> extends ImageOptions {
  readonly task?: Kind | undefined;
  /** Size of the result; the upright image's own size when left out. */
  readonly outputSize?: Size | undefined;
  /** Each number left out comes from the bundle's manifest. */
  readonly thresholds?: Partial<Thresholds> | undefined;
  /** Resize class scores (the published semantic mode) or mask logits (sharper, slower). */
  readonly semanticResize?: 'scores' | 'masks' | undefined;
  /**
   * Semantic: each class has only the mask that suits it best, whole where its probability is above
   * this, (0, 1); other pixels get no class. Words compete for masks: two classes or more, of which
   * one may be "others".
   */
  readonly oneMaskAt?: number | undefined;
  /**
   * Images of equal size that run together; of very large ones fewer do. Results depend on it by
   * rounding at most.
   */
  readonly batchSize?: number | undefined;
  /** Called after each image. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Used when `vocabulary` is given as plain classes. */
  readonly templates?: Templates | undefined;
}

/** The defaults; what is not here comes from the bundle's manifest. */
export const DEFAULTS = {
  device: 'auto',
  dtype: 'auto',
  threads: 0,
  verify: false,
  cache: true,
  templates: 'bundle',
  duplicates: 'refuse',
  copy: 'auto',
  task: 'panoptic',
  semanticResize: 'scores',
  /** On the CPU one image already fills every core; a GPU gains from a few. */
  batchSize: { cpu: 1, cuda: 4 },
  /** The published post-processing keeps every instance of the top k. */
  instanceScore: 0,
  /** Pixels of more entropy, nats, are background: published for so many classes (2212.04994). */
  background: { entropy: 1.5, classes: 20 },
  video: { association: 'regions', memory: 30, leastSimilarity: 0.7, sceneCut: 0.7 },
  overlay: { opacity: 0.5, outlines: true, names: true, legend: true, ids: false },
} as const;

/** Bounds on what a caller or a file may ask for. */
export const LIMITS = {
  /** A label PNG of 16 bits holds indices below 65,535, which marks unlabelled pixels. */
  classes: 65_535,
  synonyms: 200_000,
  /** UTF-16 units of one class name or synonym. */
  nameLength: 10_000,
  templates: 256,
  templateLength: 1_000,
  /** Pixels of one image (an 8-bit RGB image of this size takes 300 MB). */
  imagePixels: 100_000_000,
  /** Pixels of one side of an image or a result. */
  imageSide: 32_768,
  imageFileBytes: 536_870_912,
  /** Decoded images that wait for the network together: 85 of a million pixels; one may be larger. */
  windowBytes: 268_435_456,
  outputPixels: 100_000_000,
  /** Heat maps of one image together, four bytes a pixel. */
  heatMapBytes: 4_294_967_296,
  manifestBytes: 16_777_216,
  mergesBytes: 8_388_608,
  /** Prompts in one call of the text tower. */
  promptChunk: 128,
  /** Synonyms whose embeddings stay in memory. */
  cachedEmbeddings: 32_768,
  cacheBytes: 268_435_456,
  batchSize: 256,
  threads: 1024,
  instanceTopK: 100_000,
  /** Things that a video remembers, and queries that are matched: the work grows with the cube. */
  followed: 1_024,
} as const;

/**
 * Refuses options that are no object or hold a key that is not in `known`.
 *
 * @throws TypeError that names the unknown key and the nearest known one.
 */
export function checkOptions(options: unknown, known: readonly string[], name: string): void {
  if (options === undefined) return;
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw expected('an object', name, options);
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const nearest = nearestName(key, known);
    const hint =
      nearest === undefined ? `known: ${known.join(', ')}` : `did you mean "${nearest}"?`;
    throw new TypeError(`Unknown option "${key}" in ${name}; ${hint}`);
  }
}

/** The value when it is one of `choices`; a TypeError that lists them otherwise. */
export function oneOf<T extends string>(value: unknown, choices: readonly T[], name: string): T {
  if (typeof value === 'string' && (choices as readonly string[]).includes(value))
    return value as T;
  throw expected(`one of ${choices.map((choice) => `"${choice}"`).join(', ')}`, name, value);
}

/** The value when it is an integer in [least, most]. */
export function integerIn(value: unknown, least: number, most: number, name: string): number {
  if (typeof value !== 'number') throw expected('an integer', name, value);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw outOfRange(`an integer from ${least} to ${most}`, name, value);
  }
  return value;
}

/** The value when it is a finite number in [least, most]. */
export function numberIn(value: unknown, least: number, most: number, name: string): number {
  if (typeof value !== 'number') throw expected('a number', name, value);
  if (!(value >= least && value <= most)) {
    throw outOfRange(`a number from ${least} to ${most}`, name, value);
  }
  return value;
}

/** The value when it is two finite numbers in [least, most], the smaller one first. */
export function rangeIn(
  value: unknown,
  least: number,
  most: number,
  name: string,
): readonly [number, number] {
  if (!Array.isArray(value) || value.length !== 2) throw expected('two numbers', name, value);
  const low = numberIn(value[0], least, most, `${name}[0]`);
  const high = numberIn(value[1], least, most, `${name}[1]`);
  if (low > high) throw outOfRange('a range in order', name, `${low}, ${high}`);
  return [low, high];
}

/** The value when it is a boolean. */
export function booleanValue(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw expected('a boolean', name, value);
  return value;
}

/** A function or undefined. */
export function checkCallback(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function') throw expected('a function', name, value);
}

/** Checks a size of a result in pixels. */
export function checkSize(value: unknown, name: string): Size {
  checkOptions(value, ['width', 'height'], name);
  const { width, height } = (value ?? {}) as Partial<Size>;
  integerIn(width, 1, LIMITS.imageSide, `${name}.width`);
  integerIn(height, 1, LIMITS.imageSide, `${name}.height`);
  const size = { width: width as number, height: height as number };
  if (size.width * size.height > LIMITS.outputPixels) {
    throw outOfRange(`at most ${LIMITS.outputPixels} pixels`, name, size.width * size.height);
  }
  return size;
}

/** The known name within two edits (or a third of the length) of `key`, if any. */
export function nearestName(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const limit = Math.max(2, Math.floor(Math.min(key.length, name.length) / 3));
    const distance = editDistance(key.toLowerCase().slice(0, 64), name.toLowerCase());
    if (distance <= limit && distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const substitution = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}
