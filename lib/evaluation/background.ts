/** A class that has no words: pixels of which nothing can be said are called background. */
import type { DatasetClass, SegmentationDataset } from '../data/segmentation-dataset.js';
import { LexisegError } from '../errors.js';
import { oneOf, type Task } from '../options.js';
import type { VocabularyClass } from '../text/classes.js';

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

/**
 * The background of a data set, where unlabelled pixels are to be called so.
 *
 * @throws LexisegError `ERR_UNSUPPORTED` for data without one, or other tasks than semantic.
 */
export function backgroundOf(
  dataset: SegmentationDataset,
  tasks: readonly Task[],
  meaning: 'word' | 'unlabelled' = 'word',
): Background | undefined {
  oneOf(meaning, ['word', 'unlabelled'], 'options.background');
  if (meaning === 'word') return undefined;
  const index = dataset.classes.findIndex(({ name }) => name === BACKGROUND);
  const found = dataset.classes[index];
  if (found !== undefined && tasks.every((task) => task === 'semantic')) {
    return new Background(index, found);
  }
  const reason =
    found === undefined
      ? `${dataset.name} has no class "${BACKGROUND}"`
      : 'only semantic maps leave pixels unlabelled';
  throw new LexisegError(
    'ERR_UNSUPPORTED',
    `options.background cannot be "unlabelled": ${reason}`,
    {
      details: { tasks },
    },
  );
}
