/** The words of a run of training: what its classes are trained by, and what they are scored by. */
import { classLabels } from '../data/class-labels.js';
import { classInputs } from '../evaluation/class-inputs.js';
import type { ClassDefinition, readVocabulary, SegmentationDataset } from '../index.js';
import type { TrainConfig } from './train-config.js';

/** Words in the order of the trainer's labels, and the data set whose classes they name. */
export interface TrainedClasses {
  readonly dataset: Pick<SegmentationDataset, 'name' | 'classes'>;
  readonly vocabulary: readonly ClassDefinition[];
}

/** Those asked for, or the data set's own; what is a thing is for the data to say where they do not. */
export function trainedClasses(
  dataset: TrainedClasses['dataset'],
  wanted: TrainConfig['vocabulary'],
  read: typeof readVocabulary,
): TrainedClasses {
  if (wanted === undefined) {
    const classes = dataset.classes.filter(({ seen }) => seen !== false);
    return { dataset, vocabulary: classInputs({ name: dataset.name, classes }, undefined) };
  }
  const given = (typeof wanted === 'string' ? read(wanted).classes : wanted).map((one) =>
    typeof one === 'string' ? { name: one } : one,
  );
  const labels = classLabels(dataset, given.map(firstName));
  const vocabulary = given.map((one, label) => {
    const thing = dataset.classes[labels.indexOf(label)]?.thing;
    return { ...one, thing: one.thing ?? thing };
  });
  return { dataset, vocabulary };
}

/**
 * The words for the classes of a data set in evaluation, in its order. Where all of them are classes of
 * the training data they are those of the training, and its own for what was not trained; another data
 * set keeps its own.
 */
export function scoredClasses(
  { name, classes }: TrainedClasses['dataset'],
  { dataset: trained, vocabulary }: TrainedClasses,
): readonly ClassDefinition[] {
  const own = classInputs({ name, classes }, undefined);
  const places = new Map(trained.classes.map((one, index) => [one.name, index]));
  if (!classes.every((one) => places.has(one.name))) return own;
  const labels = classLabels(trained, vocabulary.map(firstName));
  return own.map((one, index) => {
    // Classes may have equal names; then their places tell them apart.
    const inPlace = trained.classes[index]?.name === one.name;
    const place = inPlace ? index : (places.get(one.name) as number);
    return vocabulary[labels[place] as number] ?? one;
  });
}

/** A class that is asked for by its first word alone. */
export const byFirstName = (one: ClassDefinition): ClassDefinition => ({
  ...one,
  name: firstName(one),
  synonyms: [],
});

export const firstName = ({ name }: ClassDefinition): string => name.replace(/\|.*$/s, '').trim();
