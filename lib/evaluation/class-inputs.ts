/** The words that an evaluation asks for. */
import type { SegmentationDataset } from '../data/segmentation-dataset.js';
import { LexisegError } from '../errors.js';
import type { CallOptions, Progress, Templates } from '../options.js';
import type { ClassDefinition, ClassInput } from '../text/classes.js';

/** What every evaluation can be told. */
export interface WordedOptions extends CallOptions {
  /** Names for the classes of the data, in its order; default its own names and synonyms. */
  readonly vocabulary?: readonly ClassInput[] | undefined;
  /** What the report calls the vocabulary. */
  readonly vocabularyName?: string | undefined;
  readonly templates?: Templates | undefined;
  /** Called as images, or frames, are done. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export const WORDED_KEYS = [
  'vocabulary',
  'vocabularyName',
  'templates',
  'onProgress',
  'signal',
] as const;

/**
 * Names for the classes of a data set, in its order: those given, or its own with their synonyms.
 * What is a thing is for the data set to say where the names do not.
 *
 * @throws LexisegError `ERR_VOCABULARY` for another number of them.
 */
export function classInputs(
  dataset: Pick<SegmentationDataset, 'name' | 'classes'>,
  given: readonly ClassInput[] | undefined,
): readonly ClassDefinition[] {
  if (given === undefined) {
    return dataset.classes.map(({ name, synonyms, thing }) => ({ name, synonyms, thing }));
  }
  if (given.length === dataset.classes.length) {
    return given.map((input, index) => {
      const named = typeof input === 'string' ? { name: input } : input;
      return { ...named, thing: named.thing ?? dataset.classes[index]?.thing };
    });
  }
  throw new LexisegError(
    'ERR_VOCABULARY',
    `The vocabulary has ${given.length} classes, ${dataset.name} has ${dataset.classes.length}`,
    { details: { vocabulary: given.length, dataset: dataset.classes.length } },
  );
}
