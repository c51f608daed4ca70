/** Which classes a whole image shows. */
import type { VocabularyClass } from '../text/classes.js';

/** A class and how probable it is among those asked for. */
export interface RankedClass {
  readonly classIndex: number;
  readonly className: string;
  /** [0, 1]. */
  readonly probability: number;
}

/** The softmax over a vocabulary for one image. */
export class ImageClassification {
  readonly classes: readonly VocabularyClass[];
  /** float32 [K], adding up to 1. */
  readonly probabilities: Float32Array;

  /** @internal */
  constructor(classes: readonly VocabularyClass[], logits: Float32Array) {
    this.classes = classes;
    const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const raw = logits.map((logit) => Math.exp(logit - most));
    const total = raw.reduce((a, b) => a + b, 0);
    this.probabilities = raw.map((value) => value / total);
  }

  /** The most probable class. */
  get best(): RankedClass {
    return this.ranked(1)[0] as RankedClass;
  }

  /** The `count` most probable classes, the best first; the lower index among equals. */
  ranked(count = 5): RankedClass[] {
    return this.classes
      .map(({ index, name }) => ({
        classIndex: index,
        className: name,
        probability: this.probabilities[index] as number,
      }))
      .sort((a, b) => b.probability - a.probability || a.classIndex - b.classIndex)
      .slice(0, count);
  }
}
