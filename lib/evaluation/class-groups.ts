/** The groups of classes that reports give scores of. */
import type { DatasetClass } from '../data/segmentation-dataset.js';
import type { VocabularyClass } from '../text/classes.js';

export type ClassGroup = 'all' | 'seen' | 'unseen' | 'things' | 'stuff';

/**
 * The classes of a data set as scores group them: seen where the data says so, else where a word of
 * theirs was one of the bundle's training. Which classifier a bundle trusts stays its own affair.
 */
export const groupedClasses = (
  classes: readonly VocabularyClass[],
  { classes: stated }: { readonly classes: readonly DatasetClass[] },
): VocabularyClass[] =>
  classes.map((one, index) => ({ ...one, seen: stated[index]?.seen ?? one.seen }));

/** The score of each group, from the indices of its classes. */
export function scoreGroups<Score>(
  classes: readonly VocabularyClass[],
  score: (indices: readonly number[]) => Score,
): Record<ClassGroup, Score> {
  const where = (holds: (one: VocabularyClass) => boolean): Score =>
    score(classes.flatMap((one, index) => (holds(one) ? [index] : [])));
  return {
    all: where(() => true),
    seen: where(({ seen }) => seen),
    unseen: where(({ seen }) => !seen),
    things: where(({ thing }) => thing),
    stuff: where(({ thing }) => !thing),
  };
}

/** Of the scores of seen and unseen classes; NaN where one is missing. */
export const harmonicMean = (a: number = Number.NaN, b: number = Number.NaN): number =>
  (2 * a * b) / (a + b);
