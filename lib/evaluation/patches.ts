/** What single patches know: of each other (coherence), and of words (PACL, arXiv 2212.04994). */
import { Random } from '../data/random.js';
import type { DatasetClass, SegmentationDataset, Truth } from '../data/segmentation-dataset.js';
import { checkTruthSize } from '../data/truth-size.js';
import { LexisegError } from '../errors.js';
import type { PatchEmbeddings } from '../inference/dense.js';
import { product, unit, unitRows } from '../inference/unit-vectors.js';
import { checkCallback, checkOptions, integerIn, numberIn } from '../options.js';
import type { Segmenter } from '../segmenter.js';
import type { ClassDefinition } from '../text/classes.js';
import type { Vocabulary } from '../vocabulary.js';
import { BACKGROUND } from './background.js';
import { groupedClasses } from './class-groups.js';
import { classInputs, WORDED_KEYS, type WordedOptions } from './class-inputs.js';
import { type ReportFacts, reportFacts } from './report-facts.js';
import { type Roc, rocOf } from './roc.js';

export interface PatchOptions extends WordedOptions {
  /** Images to look at, from the first; default all. */
  readonly limit?: number | undefined;
  /** Share of a patch that must be of one class, (0, 1]. Default 0.5. */
  readonly purity?: number | undefined;
  /** Pairs of patches that are compared; half of them of one class. Default 200,000. */
  readonly pairs?: number | undefined;
  /** Of the choice of pairs. Default 0. */
  readonly seed?: number | undefined;
}

export interface PatchReport extends ReportFacts {
  readonly images: number;
  readonly patches: number;
  /** Share of patches whose best word is that of their class, by group of classes; NaN for none. */
  readonly accuracy: { readonly all: number; readonly seen: number; readonly unseen: number };
  /** Whether cosines of the tower's own tokens tell pairs of one class from others (sec. 3.2). */
  readonly coherence: Roc & { readonly pairs: number };
}

const KEYS = [...WORDED_KEYS, 'limit', 'purity', 'pairs', 'seed'];
/** Patches that are compared with each other at most; their tokens are kept. */
const MOST_KEPT = 20_000;

interface Patch {
  readonly image: number;
  readonly classIndex: number;
  /** float32, unit norm. */
  readonly token: Float32Array;
}

/**
 * Semantic coherence of a bundle's tower and patch classification accuracy of its patches. A patch
 * has the class of most of its pixels, and none where two have as many. Patches of background and
 * void are left out, and no word stands for background.
 *
 * @throws LexisegError `ERR_UNSUPPORTED` for a bundle without `encode_patches`, `ERR_VOCABULARY` for
 *   a vocabulary of another size than the data's, `ERR_DATA` for data without two patches of one class or
 *   an image of another size than its truth.
 */
export async function evaluatePatches(
  segmenter: Segmenter,
  dataset: SegmentationDataset,
  options: PatchOptions = {},
): Promise<PatchReport> {
  checkOptions(options, KEYS, 'options');
  checkCallback(options.onProgress, 'options.onProgress');
  const { signal, templates } = options;
  const purity = numberIn(options.purity ?? 0.5, 0.01, 1, 'options.purity');
  const pairs = integerIn(options.pairs ?? 200_000, 2, 1e7, 'options.pairs');
  const seed = integerIn(options.seed ?? 0, 0, 2 ** 31, 'options.seed');
  const limit = integerIn(options.limit ?? dataset.length, 1, 1e9, 'options.limit');
  const images = Math.min(limit, dataset.length);
  const inputs = classInputs(dataset, options.vocabulary);
  const asked = [...dataset.classes.keys()].filter(
    (index) => dataset.classes[index]?.name !== BACKGROUND,
  );
  const named = asked.map((index) => inputs[index] as ClassDefinition);
  const vocabulary = await segmenter.createVocabulary(named, {
    templates,
    duplicates: 'keep',
    signal,
  });
  try {
    const words = new Words(vocabulary);
    const stated = asked.map((index) => dataset.classes[index] as DatasetClass);
    const classes = groupedClasses(vocabulary.classes, { classes: stated });
    const right = { all: 0, seen: 0, unseen: 0 };
    const total = { all: 0, seen: 0, unseen: 0 };
    const kept: Patch[] = [];
    const random = new Random(seed, 0);
    for (let index = 0; index < images; index++) {
      const truth = await dataset.truth(index);
      const { path } = dataset.image(index);
      const found = await segmenter.encodePatches(path, { signal });
      checkTruthSize(path, found.imageSize, truth);
      for (const { place, classIndex } of labelledPatches(found, truth, purity)) {
        const known = classes[asked.indexOf(classIndex)];
        if (known === undefined) continue;
        const hit = words.best(rowOf(found.embeddings, place, found)) === known.index ? 1 : 0;
        for (const group of ['all', known.seen ? 'seen' : 'unseen'] as const) {
          right[group] += hit;
          total[group]++;
        }
        const token = unit(rowOf(found.tokens, place, found).slice());
        keep(kept, { image: index, classIndex, token }, total.all, random);
      }
      options.onProgress?.({ done: index + 1, total: images });
    }
    const { same, other } = compare(kept, pairs, random);
    return {
      ...reportFacts(segmenter, dataset, vocabulary, options.vocabularyName),
      images,
      patches: total.all,
      accuracy: {
        all: right.all / total.all,
        seen: right.seen / total.seen,
        unseen: right.unseen / total.unseen,
      },
      coherence: { ...rocOf(same, other), pairs: same.length + other.length },
    };
  } finally {
    vocabulary.dispose();
  }
}

/** Patches with more of one class than of any other, and enough, by counting true pixels in each. */
function* labelledPatches(
  { rows, columns, networkSize, validSize }: PatchEmbeddings,
  { ids, segments, width, height }: Truth,
  purity: number,
): Generator<{ place: number; classIndex: number }> {
  const classOf = new Map(
    segments.map(({ id, classIndex, crowd }) => [id, crowd ? -1 : classIndex]),
  );
  const counts = Array.from({ length: rows * columns }, () => new Map<number, number>());
  const size = networkSize.height / rows;
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * validSize.height) / height / size);
    for (let x = 0; x < width; x++) {
      const column = Math.floor(((x + 0.5) * validSize.width) / width / size);
      // Less than a patch at the right and at the bottom is in none.
      const cell = column < columns ? counts[row * columns + column] : undefined;
      const classIndex = classOf.get(ids[y * width + x] as number) ?? -1;
      cell?.set(classIndex, (cell.get(classIndex) ?? 0) + 1);
    }
  }
  // Pixels of the truth in a whole patch.
  const whole = (size * height * (size * width)) / (validSize.height * validSize.width);
  for (const [place, cell] of counts.entries()) {
    const known = [...cell].filter(([classIndex]) => classIndex >= 0);
    const [most, next] = known.sort(([, one], [, other]) => other - one);
    if (most === undefined || most[1] < purity * whole || most[1] === next?.[1]) continue;
    yield { place, classIndex: most[0] };
  }
}

/** The class of the word that an embedding is most like. */
class Words {
  readonly #embeddings: readonly Float32Array[];
  readonly #classOf: readonly number[];

  constructor({ classes, classEmbeddings }: Vocabulary) {
    this.#classOf = classes.flatMap(({ synonyms }, index) => synonyms.map(() => index));
    this.#embeddings = unitRows(classEmbeddings.data as Float32Array, this.#classOf.length);
  }

  best(embedding: Float32Array): number {
    let [best, most] = [-1, -Infinity];
    for (const [row, word] of this.#embeddings.entries()) {
      const likeness = product(embedding, word);
      if (likeness > most) [best, most] = [this.#classOf[row] as number, likeness];
    }
    return best;
  }
}

/** Keeps a fair sample of what comes by. */
function keep(kept: Patch[], patch: Patch, count: number, random: Random): void {
  if (kept.length < MOST_KEPT) {
    kept.push(patch);
    return;
  }
  const place = random.below(count);
  if (place < MOST_KEPT) kept[place] = patch;
}

/** Cosines of pairs of one class and of pairs of two, each from different images. */
function compare(
  patches: readonly Patch[],
  pairs: number,
  random: Random,
): { same: Float32Array; other: Float32Array } {
  const ofClass = new Map<number, Patch[]>();
  for (const patch of patches) {
    const list = ofClass.get(patch.classIndex);
    if (list === undefined) ofClass.set(patch.classIndex, [patch]);
    else list.push(patch);
  }
  const half = Math.ceil(pairs / 2);
  const same: number[] = [];
  const other: number[] = [];
  const pick = (list: readonly Patch[]): Patch => list[random.below(list.length)] as Patch;
  for (let tries = 0; tries < 20 * pairs && same.length + other.length < 2 * half; tries++) {
    const wanted = same.length < half && (other.length >= half || tries % 2 === 0);
    if (patches.length === 0) break;
    const first = pick(patches);
    const second = pick(wanted ? (ofClass.get(first.classIndex) as Patch[]) : patches);
    if (first.image === second.image) continue;
    if (first.classIndex === second.classIndex) {
      if (same.length < half) same.push(product(first.token, second.token));
    } else if (other.length < half) {
      other.push(product(first.token, second.token));
    }
  }
  if (same.length === 0 || other.length === 0) {
    throw new LexisegError('ERR_DATA', 'Too few patches of one class, or of two, in other images');
  }
  return { same: Float32Array.from(same), other: Float32Array.from(other) };
}

function rowOf(values: Float32Array, row: number, grid: PatchEmbeddings): Float32Array {
  const width = values.length / (grid.rows * grid.columns);
  return values.subarray(row * width, (row + 1) * width);
}
