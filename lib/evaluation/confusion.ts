/** Which class was taken for which, pixel by pixel, and the scores that follow. */
import type { Truth } from '../data/segmentation-dataset.js';

/** Scores over pixels, each in [0, 1]; NaN where nothing was counted. */
export interface SemanticScore {
  /** Mean IoU over classes that occur in the truth. */
  readonly miou: number;
  /** Mean IoU over classes that occur or are predicted. */
  readonly miouUnion: number;
  /** IoU weighted by how often the class occurs. */
  readonly fwiou: number;
  /** Mean over classes of the share of their pixels that is right. */
  readonly meanAccuracy: number;
}

/** A pair of classes that are taken for each other. */
export interface ConfusedPair {
  readonly truth: number;
  readonly predicted: number;
  readonly pixels: number;
  /** Of the true class's pixels. */
  readonly share: number;
}

export class Confusion {
  readonly #counts: Float64Array;
  readonly classCount: number;

  constructor(classCount: number) {
    this.classCount = classCount;
    this.#counts = new Float64Array(classCount * (classCount + 1));
  }

  /**
   * Adds an image. Void pixels of the truth do not count.
   *
   * @param labels predicted class of each pixel; outside 0 … classes − 1: nothing
   * @returns the share of the image's pixels that is right; 1 where all are void.
   */
  add(labels: Int32Array, truth: Truth): number {
    const { classCount } = this;
    const columns = classCount + 1;
    const counts = this.#counts;
    const classOf = new Map(truth.segments.map(({ id, classIndex }) => [id, classIndex]));
    const { ids } = truth;
    let last = 0;
    let row = -1;
    let [right, all] = [0, 0];
    for (let at = 0; at < ids.length; at++) {
      const id = ids[at] as number;
      if (id !== last) {
        row = classOf.get(id) ?? -1;
        last = id;
      }
      if (row < 0) continue;
      const label = labels[at] as number;
      const cell = row * columns + (label >= 0 && label < classCount ? label : classCount);
      counts[cell] = (counts[cell] as number) + 1;
      if (label === row) right++;
      all++;
    }
    return all === 0 ? 1 : right / all;
  }

  /** Pixels of class `truth` that were called `predicted`. */
  count(truth: number, predicted: number): number {
    return this.#counts[truth * (this.classCount + 1) + predicted] as number;
  }

  /** Per class: pixels in the truth, in the prediction, and in both. */
  totals(): { truth: Float64Array; predicted: Float64Array; both: Float64Array } {
    const { classCount } = this;
    const truth = new Float64Array(classCount);
    const predicted = new Float64Array(classCount);
    const both = new Float64Array(classCount);
    for (let row = 0; row < classCount; row++) {
      for (let column = 0; column <= classCount; column++) {
        const count = this.count(row, column);
        truth[row] = (truth[row] as number) + count;
        if (column < classCount) predicted[column] = (predicted[column] as number) + count;
        if (column === row) both[row] = count;
      }
    }
    return { truth, predicted, both };
  }

  /** IoU of each class; NaN where the class neither occurs nor is predicted. */
  ious(): Float64Array {
    const { truth, predicted, both } = this.totals();
    return truth.map((area, i) => {
      const union = area + (predicted[i] as number) - (both[i] as number);
      return union === 0 ? Number.NaN : (both[i] as number) / union;
    });
  }

  /** Share of all pixels that are right. */
  pixelAccuracy(): number {
    const { truth, both } = this.totals();
    const sum = (values: Float64Array): number => values.reduce((total, one) => total + one, 0);
    return sum(both) / sum(truth);
  }

  /** Scores over some of the classes. */
  mean(classes: readonly number[]): SemanticScore {
    const { truth, predicted, both } = this.totals();
    const ious = this.ious();
    const meanOf = (chosen: readonly number[], value: (index: number) => number): number =>
      chosen.reduce((sum, index) => sum + value(index), 0) / chosen.length;
    const iou = (index: number): number => ious[index] as number;
    const occurring = classes.filter((index) => (truth[index] as number) > 0);
    const inUnion = classes.filter((i) => (truth[i] as number) + (predicted[i] as number) > 0);
    const pixels = occurring.reduce((sum, index) => sum + (truth[index] as number), 0);
    return {
      miou: meanOf(occurring, iou),
      miouUnion: meanOf(inUnion, iou),
      fwiou: occurring.reduce((sum, i) => sum + (truth[i] as number) * iou(i), 0) / pixels,
      meanAccuracy: meanOf(occurring, (i) => (both[i] as number) / (truth[i] as number)),
    };
  }

  /** The most frequent mistakes, the worst first. */
  worstPairs(limit: number): ConfusedPair[] {
    const { truth } = this.totals();
    const pairs: ConfusedPair[] = [];
    for (let row = 0; row < this.classCount; row++) {
      for (let column = 0; column < this.classCount; column++) {
        const pixels = this.count(row, column);
        if (row === column || pixels === 0) continue;
        const share = pixels / (truth[row] as number);
        pairs.push({ truth: row, predicted: column, pixels, share });
      }
    }
    return pairs.sort((a, b) => b.pixels - a.pixels).slice(0, limit);
  }
}
