/** A class that has no words: pixels of which nothing can be said are called background. */
import type { DatasetClass, SegmentationDataset } from '../data/segmentation-dataset.js';
import { LexisegError } from '../errors.js';
import { DEFAULTS, oneOf, type Task, type Thresholds } from '../options.js';
import type { Segmenter } from '../segmenter.js';
import type { ClassDefinition, VocabularyClass } from '../text/classes.js';

/** What data sets call the class that says only that nothing is there. */
export const BACKGROUND = 'background';

/** Where it stands among the classes of the data. */
export class Background {
  readonly index: number;
  readonly #class: DatasetClass;

  constructor(index: number, one: DatasetClass) {
    this.index = index;
    this.#class = one;
  }

  /** The classes of a vocabulary without it, with it. */
  among(classes: readonly VocabularyClass[]): VocabularyClass[] {
    const { name, thing } = this.#class;
    const own = { index: this.index, name, synonyms: [], thing, seen: false };
    const all = classes.toSpliced(this.index, 0, own as VocabularyClass);
    return all.map((one, index) => ({ ...one, index }));
  }

  /** Labels of that vocabulary as those of the data. */
  relabel(labels: Int32Array): Int32Array {
    return labels.map((label) =>
      label < 0 ? this.index : label >= this.index ? label + 1 : label,
    );
  }
}

/** What is asked for: words for all classes but the background, and when a pixel has none of them. */
export function questions(
  inputs: readonly ClassDefinition[],
  background: Background | undefined,
  given: Partial<Thresholds> | undefined,
): { words: readonly ClassDefinition[]; thresholds: Partial<Thresholds> | undefined } {
  const words = inputs.filter((_, index) => index !== background?.index);
  const entropy = given?.entropy ?? (background && backgroundEntropy(words.length));
  return { words, thresholds: entropy === undefined ? given : { ...given, entropy } };
}

/** Above how much entropy of its distribution over the classes a pixel is background, nats. */
function backgroundEntropy(classCount: number): number {
  const { entropy, classes } = DEFAULTS.background;
  return (entropy * Math.log(classCount)) / Math.log(classes);
}

/**
 * The background of a data set, where unlabelled pixels are to be called so.
 *
 * @throws LexisegError `ERR_UNSUPPORTED` for a bundle that gives classes to masks, which leave no pixel
 *   without one, data without a background, or other tasks than semantic.
 */
export function backgroundOf(
  { manifest }: Pick<Segmenter, 'manifest'>,
  dataset: SegmentationDataset,
  tasks: readonly Task[],
  meaning: 'word' | 'unlabelled' = 'word',
): Background | undefined {
  oneOf(meaning, ['word', 'unlabelled'], 'options.background');
  if (meaning === 'word') return undefined;
  const index = dataset.classes.findIndex(({ name }) => name === BACKGROUND);
  const found = dataset.classes[index];
  const places =
    !manifest.methods.includes('classify_masks') && tasks.every((task) => task === 'semantic');
  if (found !== undefined && places) return new Background(index, found);
  const reason =
    found === undefined
      ? `${dataset.name} has no class "${BACKGROUND}"`
      : 'only semantic maps of bundles that score places leave pixels unlabelled';
  throw new LexisegError(
    'ERR_UNSUPPORTED',
    `options.background cannot be "unlabelled": ${reason}`,
    {
      details: { tasks },
    },
  );
}
