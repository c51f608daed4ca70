/** Scores of objects that are found one by one. */
import type { ObjectMask } from '../data/segmentation-dataset.js';
import type { InstanceSegmentation } from '../results/instance.js';
import { AveragePrecision, type PrecisionScore } from './average-precision.js';
import { EdgedMask, lesserIou } from './edged-mask.js';
import { runIou } from './run-lengths.js';

export class InstanceQuality {
  readonly #byMasks = new AveragePrecision<EdgedMask>((found, truth, crowd) =>
    runIou(found.runs, truth.runs, crowd),
  );
  readonly #byBoundaries: AveragePrecision<EdgedMask> | undefined;

  constructor(boundary: boolean) {
    this.#byBoundaries = boundary ? new AveragePrecision(lesserIou) : undefined;
  }

  /** Adds what was found in an image and what is true of it, both of one size. */
  add(found: InstanceSegmentation, truths: readonly ObjectMask[]): void {
    const { width, height } = found;
    const edged = (runs: Uint32Array): EdgedMask => new EdgedMask(runs, { width, height });
    const detections = found.segments.map((segment) => ({
      classIndex: segment.classIndex,
      shape: edged(found.runLengths(segment)),
      score: segment.score,
      area: segment.area,
    }));
    const objects = truths.map((one) => ({ ...one, shape: edged(one.runs) }));
    for (const index of new Set([...objects, ...detections].map(({ classIndex }) => classIndex))) {
      const ofClass = [
        detections.filter(({ classIndex }) => classIndex === index),
        objects.filter(({ classIndex }) => classIndex === index),
      ] as const;
      this.#byMasks.add(index, ...ofClass);
      this.#byBoundaries?.add(index, ...ofClass);
    }
  }

  /** Of one class, by masks. */
  scoreOf(classIndex: number): PrecisionScore {
    return this.#byMasks.scoreOf(classIndex);
  }

  /** Means over classes by masks, and by boundaries where they were asked for. */
  mean(classes: readonly number[]): {
    instance: PrecisionScore;
    boundaryInstance?: PrecisionScore;
  } {
    return {
      instance: this.#byMasks.mean(classes),
      ...(this.#byBoundaries ? { boundaryInstance: this.#byBoundaries.mean(classes) } : {}),
    };
  }
}
