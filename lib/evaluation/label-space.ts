/** What is told apart in an evaluation: all classes of a data set, or those of one group. */
import { ofClasses } from '../data/class-subset.js';
import type { SegmentationDataset } from '../data/segmentation-dataset.js';
import { LexisegError } from '../errors.js';
import { oneOf } from '../options.js';
import type { Segmenter } from '../segmenter.js';
import { type ClassDefinition, type ClassInput, parseClasses } from '../text/classes.js';
import { groupedClasses } from './class-groups.js';
import { classInputs } from './class-inputs.js';

/** A data set with the words of its classes, as {@link evaluate} takes them. */
export interface LabelSpace {
  readonly dataset: SegmentationDataset;
  readonly vocabulary: readonly ClassDefinition[];
}

/**
 * The seen classes of a data set by themselves, or the unseen ones: no other is asked for, and what
 * is of another is void. Scores in it are higher than those of the same classes among all.
 *
 * @param vocabulary names for the classes of the data set, in its order; default its own
 * @throws LexisegError `ERR_VOCABULARY` where no class is in the group.
 */
export function labelSpace(
  segmenter: Segmenter,
  dataset: SegmentationDataset,
  group: 'seen' | 'unseen',
  vocabulary?: readonly ClassInput[],
): LabelSpace {
  oneOf(group, ['seen', 'unseen'], 'group');
  const words = classInputs(dataset, vocabulary);
  const classes = parseClasses(words, {
    trainingClasses: segmenter.manifest.trainingClasses,
    bundleTemplates: segmenter.manifest.promptTemplates,
    templates: 'bundle',
    duplicates: 'keep',
  });
  const kept = groupedClasses(classes, dataset)
    .filter(({ seen }) => seen === (group === 'seen'))
    .map(({ index }) => index);
  if (kept.length === 0) {
    throw new LexisegError('ERR_VOCABULARY', `${dataset.name} has no ${group} classes`, {
      details: { group, dataset: dataset.name },
    });
  }
  return {
    dataset: ofClasses(dataset, kept),
    vocabulary: kept.map((index) => words[index] as ClassDefinition),
  };
}
