/** Scores of objects that are found one by one. */
import type { Coverage, ObjectMask } from '../data/segmentation-dataset.js';
import type { InstanceSegmentation } from '../results/instance.js';
import type { Segment } from '../results/segmentation.js';
import { AveragePrecision, type Outcome, type PrecisionScore } from './average-precision.js';
import { EdgedMask, lesserIou } from './edged-mask.js';
import { runIou } from './run-lengths.js';

/** Detections of one image that count, of all classes, where it was searched for some only (LVIS). */
const SEARCHED_LIMIT = 300;

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
  add(
    found: InstanceSegmentation,
    truths: readonly ObjectMask[],
    coverage: Coverage | undefined,
  ): number {
    const { width, height } = found;
    const edged = (runs: Uint32Array): EdgedMask => new EdgedMask(runs, { width, height });
    const detections = judged(found.segments, truths, coverage).map((segment) => ({
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
      const rules = coverage && {
        limit: SEARCHED_LIMIT,
        partial: coverage.partial.includes(index),
      };
      const outcome = this.#byMasks.add(index, ...ofClass, rules);
      if (outcome !== undefined) outcomes.push(outcome);
      this.#byBoundaries?.add(index, ...ofClass, rules);
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

/** The finds that can be told right from wrong: of classes that the image was searched for. */
function judged(
  found: readonly Segment[],
  truths: readonly ObjectMask[],
  coverage: Coverage | undefined,
): readonly Segment[] {
  if (coverage === undefined) return found;
  const searched = new Set([...truths.map(({ classIndex }) => classIndex), ...coverage.absent]);
  return found
    .toSorted((a, b) => b.score - a.score)
    .slice(0, SEARCHED_LIMIT)
    .filter(({ classIndex }) => searched.has(classIndex));
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
