/** The groups of classes that reports give scores of. */
import type { ClassFrequency, DatasetClass } from '../data/segmentation-dataset.js';
import type { VocabularyClass } from '../text/classes.js';

export type ClassGroup = 'all' | 'seen' | 'unseen' | 'things' | 'stuff';

/** A class with how often it is in the data set, where that is known. */
export type ScoredClass = VocabularyClass & Pick<DatasetClass, 'frequency'>;

/**
 * The classes of a data set as scores group them: seen where the data says so, else where a word of
 * theirs was one of the bundle's training. Which classifier a bundle trusts stays its own affair.
 */
export const groupedClasses = (
  classes: readonly VocabularyClass[],
  { classes: stated }: { readonly classes: readonly DatasetClass[] },
): ScoredClass[] =>
  classes.map((one, index) => {
    const { seen = one.seen, frequency } = stated[index] ?? {};
    return { ...one, seen, frequency };
  });

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

const FREQUENCIES: readonly ClassFrequency[] = ['rare', 'common', 'frequent'];

/** The score of the classes of each frequency that any of them has. */
export function frequencyGroups<Score>(
  classes: readonly Pick<DatasetClass, 'frequency'>[],
  score: (indices: readonly number[]) => Score,
): { [Key in ClassFrequency]?: Score } {
  const groups = FREQUENCIES.map((frequency) => {
    const of = classes.flatMap((one, index) => (one.frequency === frequency ? [index] : []));
    return [frequency, of] as const;
  });
  const known = groups.filter(([, indices]) => indices.length > 0);
  return Object.fromEntries(known.map(([frequency, indices]) => [frequency, score(indices)]));
}

/** Names of the groups that scores of these classes can have. */
export const groupNames = (classes: readonly Pick<DatasetClass, 'frequency'>[]): string[] =>
  Object.keys({ ...scoreGroups([], () => 0), ...frequencyGroups(classes, () => 0) });

/** Of the scores of seen and unseen classes; NaN where one is missing. */
export const harmonicMean = (a: number = Number.NaN, b: number = Number.NaN): number =>
  a === 0 && b === 0 ? 0 : (2 * a * b) / (a + b);
