/** Panoptic quality, as COCO defines it. */
import type { TruthSegment } from '../data/segmentation-dataset.js';

/** Counts of one class. */
export interface PanopticCounts {
  readonly iouSum: number;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
}

/** Panoptic, segmentation and recognition quality, each in [0, 1]. */
export interface PanopticScore {
  readonly pq: number;
  readonly sq: number;
  readonly rq: number;
}

/** How much of predicted segments (rows, from 1) lies in true ones (columns, from 0), in pixels. */
export interface SharedPixels {
  readonly predictedAreas: ArrayLike<number>;
  readonly truthAreas: ArrayLike<number>;
  shared(row: number, column: number): number;
  inVoid(row: number): number;
}

/** A predicted segment that found its true one. */
export interface PanopticMatch {
  readonly predicted: number;
  readonly truth: number;
  readonly iou: number;
}

export interface ImageQuality {
  readonly matches: readonly PanopticMatch[];
  readonly falsePositives: readonly number[];
  readonly falseNegatives: readonly number[];
}

/**
 * Matches the segments of one image: equal class, not a crowd, IoU over 0.5, where void pixels of
 * the prediction do not count. A prediction that lies mostly in void or in crowds of its class is
 * no mistake.
 *
 * @param predictedClasses class of predicted id i + 1
 * @param iouOf replaces the IoU of a pair that overlaps, e.g. by the lesser of mask and boundary IoU
 */
export function matchSegments(
  overlap: SharedPixels,
  predictedClasses: readonly number[],
  truth: readonly TruthSegment[],
  iouOf: (predicted: number, truth: number, maskIou: number) => number = (_p, _t, iou) => iou,
): ImageQuality {
  const matches: PanopticMatch[] = [];
  const found = new Set<number>();
  const falsePositives: number[] = [];
  for (const [index, classIndex] of predictedClasses.entries()) {
    const row = index + 1;
    const area = overlap.predictedAreas[row] as number;
    if (area === 0) continue;
    let matched = false;
    let excused = overlap.inVoid(row);
    for (const [column, segment] of truth.entries()) {
      const shared = overlap.shared(row, column);
      if (shared === 0 || segment.classIndex !== classIndex) continue;
      if (segment.crowd) {
        excused += shared;
        continue;
      }
      const union = area + (overlap.truthAreas[column] as number) - shared - overlap.inVoid(row);
      const iou = iouOf(row, column, shared / union);
      if (iou <= 0.5) continue;
      matches.push({ predicted: row, truth: column, iou });
      found.add(column);
      matched = true;
    }
    if (!matched && excused <= area / 2) falsePositives.push(row);
  }
  const missed = ({ crowd }: TruthSegment, column: number): boolean =>
    !crowd && !found.has(column) && (overlap.truthAreas[column] as number) > 0;
  const falseNegatives = truth.flatMap((segment, column) =>
    missed(segment, column) ? [column] : [],
  );
  return { matches, falsePositives, falseNegatives };
}

/** Sums over images, by class. */
export class PanopticQuality {
  readonly #iouSums: Float64Array;
  readonly #true: Float64Array;
  readonly #falsePositives: Float64Array;
  readonly #falseNegatives: Float64Array;

  constructor(classCount: number) {
    this.#iouSums = new Float64Array(classCount);
    this.#true = new Float64Array(classCount);
    this.#falsePositives = new Float64Array(classCount);
    this.#falseNegatives = new Float64Array(classCount);
  }

  add(
    quality: ImageQuality,
    predictedClasses: readonly number[],
    truth: readonly TruthSegment[],
  ): void {
    const raise = (counts: Float64Array, index: number, by = 1): void => {
      counts[index] = (counts[index] as number) + by;
    };
    const classOfTruth = (column: number): number => (truth[column] as TruthSegment).classIndex;
    for (const { truth: column, iou } of quality.matches) {
      raise(this.#iouSums, classOfTruth(column), iou);
      raise(this.#true, classOfTruth(column));
    }
    for (const row of quality.falsePositives) {
      raise(this.#falsePositives, predictedClasses[row - 1] as number);
    }
    for (const column of quality.falseNegatives) {
      raise(this.#falseNegatives, classOfTruth(column));
    }
  }

  counts(classIndex: number): PanopticCounts {
    return {
      iouSum: this.#iouSums[classIndex] as number,
      truePositives: this.#true[classIndex] as number,
      falsePositives: this.#falsePositives[classIndex] as number,
      falseNegatives: this.#falseNegatives[classIndex] as number,
    };
  }

  /** Of one class; undefined when it neither occurs nor is predicted. */
  scoreOf(classIndex: number): PanopticScore | undefined {
    const { iouSum, truePositives, falsePositives, falseNegatives } = this.counts(classIndex);
    const total = truePositives + falsePositives / 2 + falseNegatives / 2;
    if (total === 0) return undefined;
    return {
      pq: iouSum / total,
      sq: truePositives === 0 ? 0 : iouSum / truePositives,
      rq: truePositives / total,
    };
  }

  /** Means over those of the classes that occur or are predicted; NaN when none does. */
  mean(classes: Iterable<number>): PanopticScore & { readonly classes: number } {
    let count = 0;
    const sum = { pq: 0, sq: 0, rq: 0 };
    for (const classIndex of classes) {
      const score = this.scoreOf(classIndex);
      if (score === undefined) continue;
      count++;
      sum.pq += score.pq;
      sum.sq += score.sq;
      sum.rq += score.rq;
    }
    return { pq: sum.pq / count, sq: sum.sq / count, rq: sum.rq / count, classes: count };
  }
}
