/** The groups of classes that reports give scores of. */
import type { VocabularyClass } from '../text/classes.js';

export type ClassGroup = 'all' | 'seen' | 'unseen' | 'things' | 'stuff';

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
