/** Runs a bundle over a data set and scores what it finds. */
import type { SegmentationDataset, Truth } from '../data/segmentation-dataset.js';
import { checkTruthSize } from '../data/truth-size.js';
import { expected, LexisegError } from '../errors.js';
import { checkCallback, checkOptions, integerIn, type Task, type Thresholds } from '../options.js';
import type { Segmenter } from '../segmenter.js';
import { backgroundOf, questions } from './background.js';
import { groupedClasses } from './class-groups.js';
import { classInputs, WORDED_KEYS, type WordedOptions } from './class-inputs.js';
import type { EvaluationReport } from './report.js';
import { reportFacts } from './report-facts.js';
import { Scores } from './scores.js';

export interface EvaluationOptions extends WordedOptions {
  /** What to score; default all that the bundle can do. */
  readonly tasks?: readonly Task[] | undefined;
  /** As for {@link Segmenter.segment}; each number left out comes from the bundle's manifest. */
  readonly thresholds?: Partial<Thresholds> | undefined;
  /** Images to look at, from the first; default all. */
  readonly limit?: number | undefined;
  /**
   * What the data's class "background" is: a `word` like the others, or `unlabelled`: no word, and
   * pixels without a label are called background. That is for semantic maps of bundles that score
   * places; `thresholds.entropy` is then 1.5 ln K / ln 20 for K words, unless given.
   */
  readonly background?: 'word' | 'unlabelled' | undefined;
  /** Also panoptic quality and average precision by the lesser of mask and boundary IoU. */
  readonly boundary?: boolean | undefined;
}

const KEYS = [...WORDED_KEYS, 'tasks', 'thresholds', 'limit', 'boundary', 'background'];

/**
 * Scores of a bundle on a data set: panoptic quality, mean IoU by both conventions, and COCO's
 * average precision; over all classes, those seen in training (as the data set says, or the bundle),
 * and those not.
 *
 * @throws LexisegError `ERR_DATA` for what the data set has wrong, such as an image of another size
 *   than its truth, `ERR_VOCABULARY` for a vocabulary of another size than the data set's.
 */
export async function evaluate(
  segmenter: Segmenter,
  dataset: SegmentationDataset,
  options: EvaluationOptions = {},
): Promise<EvaluationReport> {
  checkOptions(options, KEYS, 'options');
  checkCallback(options.onProgress, 'options.onProgress');
  const { signal } = options;
  const masks = segmenter.manifest.methods.includes('classify_masks');
  const tasks = tasksOf(segmenter, dataset, options.tasks);
  const limit = integerIn(options.limit ?? dataset.length, 1, 1e9, 'options.limit');
  const count = Math.min(limit, dataset.length);
  const background = backgroundOf(segmenter, dataset, tasks, options.background);
  const boundary = options.boundary ?? false;
  if (boundary) checkHasSegments(tasks);
  const inputs = classInputs(dataset, options.vocabulary);
  const { words, thresholds } = questions(inputs, background, options.thresholds);
  const vocabulary = await segmenter.createVocabulary(words, {
    templates: options.templates,
    // A data set may name two classes alike; they differ by their place.
    duplicates: 'keep',
    signal,
  });
  const all = background ? background.among(vocabulary.classes) : vocabulary.classes;
  const classes = groupedClasses(all, dataset);
  const scores = new Scores(classes, boundary, background);
  const seconds = { inference: 0, scoring: 0 };
  const timed = async <Result>(
    kind: keyof typeof seconds,
    work: () => Result | Promise<Result>,
  ): Promise<Result> => {
    const began = performance.now();
    const result = await work();
    seconds[kind] += (performance.now() - began) / 1000;
    return result;
  };
  try {
    // The truth of the next image is read while the network looks at this one.
    let next = readAhead(dataset, 0);
    for (let index = 0; index < count; index++) {
      const reading = next;
      if (index + 1 < count) next = readAhead(dataset, index + 1);
      const { name, path } = dataset.image(index);
      // Masks are proposed once for all tasks; a bundle that scores places has one task.
      const proposals = masks
        ? await timed('inference', () => segmenter.proposeMasks(path, { signal }))
        : undefined;
      try {
        const truth = await timed('scoring', () => reading);
        for (const task of tasks) {
          using found = await timed('inference', () =>
            segmenter.segment(proposals ?? path, vocabulary, { signal, thresholds, task }),
          );
          checkTruthSize(path, found, truth);
          await timed('scoring', () => scores.add(found, truth, { name, path, index }));
        }
      } finally {
        proposals?.dispose();
      }
      options.onProgress?.({ done: index + 1, total: count });
    }
    return scores.report({
      ...reportFacts(segmenter, dataset, vocabulary, options.vocabularyName),
      images: count,
      seconds,
    });
  } finally {
    vocabulary.dispose();
  }
}

function readAhead(dataset: SegmentationDataset, index: number): Promise<Truth> {
  const reading = dataset.truth(index);
  // Awaited after the network has seen the image; until then a failure must not count as unhandled.
  reading.catch(() => {});
  return reading;
}

/** Maps of classes alone are scored by no boundary. */
function checkHasSegments(tasks: readonly Task[]): void {
  if (tasks.some((task) => task !== 'semantic')) return;
  throw new LexisegError(
    'ERR_UNSUPPORTED',
    'options.boundary is for panoptic and instance segmentation, not for semantic alone',
    { details: { tasks } },
  );
}

/** What is scored of a bundle, loaded or in training, on a data set: all that both can, or `wanted`. */
export function tasksOf(
  { manifest }: Pick<Segmenter, 'manifest'>,
  dataset: SegmentationDataset,
  wanted: readonly Task[] | undefined,
): readonly Task[] {
  if (wanted?.length === 0) throw expected('one task or more', 'options.tasks', wanted);
  const can = manifest.tasks.filter((task) => dataset.tasks.includes(task));
  const unknown = wanted?.find((task) => !can.includes(task));
  if (unknown === undefined && can.length > 0) return wanted ?? can;
  throw new LexisegError(
    'ERR_UNSUPPORTED',
    `${dataset.name} has the truth of ${dataset.tasks.join(', ')} segmentation, the bundle gives ` +
      `${manifest.tasks.join(', ')}${unknown === undefined ? '' : `; ${unknown} was asked for`}`,
    { details: { dataset: dataset.tasks, wanted, bundle: manifest.tasks } },
  );
}
