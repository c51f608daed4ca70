/** What every report says of itself: which bundle, on which data, asked for by which words. */
import type { Segmenter } from '../segmenter.js';
import { wordsSha256 } from '../text/words-hash.js';
import type { Vocabulary } from '../vocabulary.js';

export interface ReportFacts {
  /** Path of the bundle. */
  readonly bundle: string;
  /** Where its weights come from; says so when they are random. */
  readonly weights: string;
  readonly dataset: string;
  /** What the vocabulary is called. */
  readonly vocabulary: string;
  /** Of the words that were asked for, as `readVocabulary` gives it for a whole file. */
  readonly wordsSha256: string;
}

/** @param name of the vocabulary; without one they are the names of the data set */
export function reportFacts(
  segmenter: Pick<Segmenter, 'path' | 'manifest'>,
  dataset: { readonly name: string },
  vocabulary: Pick<Vocabulary, 'classes'>,
  name: string | undefined,
): ReportFacts {
  return {
    bundle: segmenter.path,
    weights: segmenter.manifest.weights.source,
    dataset: dataset.name,
    vocabulary: name ?? `names of ${dataset.name}`,
    wordsSha256: wordsSha256(vocabulary.classes),
  };
}

/** In one line: the vocabulary with as much of the hash as tells two versions apart. */
export const wordsOf = ({ vocabulary, wordsSha256: hash }: ReportFacts): string =>
  `${vocabulary}, ${hash.slice(0, 12)}`;

/** Rows of a table. */
export const factRows = (report: ReportFacts): string[][] => [
  ['bundle', report.bundle],
  ['weights', report.weights],
  ['vocabulary', report.vocabulary],
  ['SHA-256 of its words', report.wordsSha256],
];
