/** Scores of objects that are found one by one. */
import type { ObjectMask } from '../data/segmentation-dataset.js';
import type { InstanceSegmentation } from '../results/instance.js';
import { AveragePrecision, type Outcome, type PrecisionScore } from './average-precision.js';
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

  /**
   * Adds what was found in an image and what is true of it, both of one size.
   *
   * @returns the image's F1 at an IoU of 0.5, by the score threshold that suits it best; 1 where there
   *   is nothing to find.
   */
  add(found: InstanceSegmentation, truths: readonly ObjectMask[]): number {
    const { width, height } = found;
    const edged = (runs: Uint32Array): EdgedMask => new EdgedMask(runs, { width, height });
    const detections = found.segments.map((segment) => ({
      classIndex: segment.classIndex,
      shape: edged(found.runLengths(segment)),
      score: segment.score,
      area: segment.area,
    }));
    const objects = truths.map((one) => ({ ...one, shape: edged(one.runs) }));
    const outcomes: Outcome[] = [];
    for (const index of new Set([...objects, ...detections].map(({ classIndex }) => classIndex))) {
      const ofClass = [
        detections.filter(({ classIndex }) => classIndex === index),
        objects.filter(({ classIndex }) => classIndex === index),
      ] as const;
      const outcome = this.#byMasks.add(index, ...ofClass);
      if (outcome !== undefined) outcomes.push(outcome);
      this.#byBoundaries?.add(index, ...ofClass);
    }
    return bestF1(outcomes);
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

/** A bundle gives as many candidates as it is asked for, so that one threshold would judge their number. */
function bestF1(outcomes: readonly Outcome[]): number {
  const truths = outcomes.reduce((sum, outcome) => sum + outcome.truths, 0);
  if (truths === 0) return 1;
  const finds = outcomes
    .flatMap(({ scores, verdicts: [lowest] }) =>
      scores.map((score, at) => ({ score, verdict: lowest?.[at] as number })),
    )
    .filter(({ verdict }) => verdict >= 0)
    .sort((a, b) => b.score - a.score);
  let right = 0;
  return Math.max(
    0,
    ...finds.map(({ verdict }, at) => {
      right += verdict;
      return (2 * right) / (at + 1 + truths);
    }),
  );
}
