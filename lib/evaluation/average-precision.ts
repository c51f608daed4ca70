/** Average precision over IoU thresholds, as COCO computes it. */

/** A found object of one image and class. */
export interface Detection<Shape> {
  readonly shape: Shape;
  readonly score: number;
  readonly area: number;
}

/** A true object of one image and class. */
export interface TrueObject<Shape> {
  readonly shape: Shape;
  readonly area: number;
  readonly crowd: boolean;
}

/** How the finds of one image and class are judged. */
export interface MatchRules {
  /** Detections that count, by falling score; by default as many as ever. */
  readonly limit?: number;
  /** Whether there are more objects than the true ones: a find that matches none says nothing. */
  readonly partial?: boolean;
}

export type ShapeIou<Shape> = (detection: Shape, truth: Shape, crowd: boolean) => number;

/** AP in [0, 1]; NaN where there is no true object. */
export interface PrecisionScore {
  /** Mean over IoU 0.50:0.05:0.95. */
  readonly ap: number;
  readonly ap50: number;
  readonly ap75: number;
  readonly apSmall: number;
  readonly apMedium: number;
  readonly apLarge: number;
}

/** As numpy spaces them: the last bit decides about overlaps that are exactly a threshold. */
const spaced = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) =>
    i === count - 1 ? to : from + i * ((to - from) / (count - 1)),
  );
/** What a pair must overlap to be a match at any threshold. */
export const LEAST_IOU = 0.5;
const IOU_THRESHOLDS = spaced(LEAST_IOU, 0.95, 10);
const RECALL_POINTS = spaced(0, 1, 101);
const AREAS = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const;
type AreaName = keyof typeof AREAS;
const AREA_NAMES = Object.keys(AREAS) as AreaName[];

/** What became of the detections of one image, class and range of areas. */
export interface Outcome {
  readonly scores: readonly number[];
  /** [threshold][detection]: 1 right, 0 wrong, −1 does not count. */
  readonly verdicts: readonly Int8Array[];
  /** True objects that count. */
  readonly truths: number;
}

/** Gathers images, then gives scores by class. */
export class AveragePrecision<Shape> {
  readonly #iou: ShapeIou<Shape>;
  readonly #limit: number;
  /** By class and range of areas, an outcome for each image. */
  readonly #outcomes = new Map<number, Record<AreaName, Outcome[]>>();
  /** Scores are asked for by every group that a class is in. */
  readonly #scores = new Map<number, PrecisionScore>();

  /** @param limit detections of one image and class that count */
  constructor(iou: ShapeIou<Shape>, limit = 100) {
    this.#iou = iou;
    this.#limit = limit;
  }

  /**
   * Adds what was found and what is true of one class in one image.
   *
   * @returns what became of objects of every size; undefined where there is nothing.
   */
  add(
    classIndex: number,
    detections: readonly Detection<Shape>[],
    truths: readonly TrueObject<Shape>[],
    { limit = this.#limit, partial = false }: MatchRules = {},
  ): Outcome | undefined {
    if (detections.length === 0 && truths.length === 0) return undefined;
    const ordered = [...detections].sort((a, b) => b.score - a.score).slice(0, limit);
    const ious = ordered.map(({ shape }) =>
      truths.map((truth) => this.#iou(shape, truth.shape, truth.crowd)),
    );
    this.#scores.delete(classIndex);
    let outcomes = this.#outcomes.get(classIndex);
    if (outcomes === undefined) {
      outcomes = { all: [], small: [], medium: [], large: [] };
      this.#outcomes.set(classIndex, outcomes);
    }
    for (const name of AREA_NAMES) {
      outcomes[name].push(match(ordered, truths, ious, AREAS[name], partial));
    }
    return outcomes.all.at(-1);
  }

  /** Of one class, or NaN throughout when it has no true object. */
  scoreOf(classIndex: number): PrecisionScore {
    const known = this.#scores.get(classIndex) ?? this.#scored(classIndex);
    this.#scores.set(classIndex, known);
    return known;
  }

  #scored(classIndex: number): PrecisionScore {
    const outcomes = this.#outcomes.get(classIndex);
    const curve = (name: AreaName): number[] => precisions(outcomes?.[name] ?? []);
    const all = curve('all');
    const mean = (values: readonly number[]): number =>
      values.reduce((sum, value) => sum + value, 0) / values.length;
    return {
      ap: mean(all),
      ap50: all[0] as number,
      ap75: all[5] as number,
      apSmall: mean(curve('small')),
      apMedium: mean(curve('medium')),
      apLarge: mean(curve('large')),
    };
  }

  /** Means over those of the classes that have true objects, figure by figure. */
  mean(classes: Iterable<number>): PrecisionScore {
    const scores = [...classes].map((index) => this.scoreOf(index));
    const mean = (key: keyof PrecisionScore): number => {
      const values = scores.map((score) => score[key]).filter((value) => !Number.isNaN(value));
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    return {
      ap: mean('ap'),
      ap50: mean('ap50'),
      ap75: mean('ap75'),
      apSmall: mean('apSmall'),
      apMedium: mean('apMedium'),
      apLarge: mean('apLarge'),
    };
  }
}

/** Greedy matching by falling score; a detection takes the free true object it overlaps most. */
function match<Shape>(
  detections: readonly Detection<Shape>[],
  truths: readonly TrueObject<Shape>[],
  ious: readonly (readonly number[])[],
  [least, most]: readonly [number, number],
  partial: boolean,
): Outcome {
  const ignored = truths.map(({ crowd, area }) => crowd || area < least || area > most);
  // Objects that count come first: one of them, once matched, is not left for an ignored one.
  const order = [...truths.keys()].sort((a, b) => Number(ignored[a]) - Number(ignored[b]));
  const verdicts = IOU_THRESHOLDS.map((threshold) => {
    const taken = new Uint8Array(truths.length);
    return Int8Array.from(detections, ({ area }, d) => {
      let best = Math.min(threshold, 1 - 1e-10);
      let chosen = -1;
      for (const t of order) {
        if (taken[t] === 1 && !truths[t]?.crowd) continue;
        if (chosen >= 0 && !ignored[chosen] && ignored[t]) break;
        const iou = ious[d]?.[t] as number;
        if (iou < best) continue;
        best = iou;
        chosen = t;
      }
      if (chosen < 0) return partial || area < least || area > most ? -1 : 0;
      taken[chosen] = 1;
      return ignored[chosen] ? -1 : 1;
    });
  });
  return {
    scores: detections.map(({ score }) => score),
    verdicts,
    truths: ignored.filter((one) => !one).length,
  };
}

/** For each IoU threshold the mean precision over the recall points; NaN without true objects. */
function precisions(outcomes: readonly Outcome[]): number[] {
  const truths = outcomes.reduce((sum, outcome) => sum + outcome.truths, 0);
  if (truths === 0) return IOU_THRESHOLDS.map(() => Number.NaN);
  const scores = outcomes.flatMap((outcome) => outcome.scores);
  const order = [...scores.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number));
  return IOU_THRESHOLDS.map((_, threshold) => {
    const verdicts = outcomes.flatMap((outcome) => Array.from(outcome.verdicts[threshold] ?? []));
    const recalls: number[] = [];
    const curve: number[] = [];
    let right = 0;
    let counted = 0;
    for (const index of order) {
      const verdict = verdicts[index] as number;
      if (verdict < 0) continue;
      counted++;
      right += verdict;
      recalls.push(right / truths);
      curve.push(right / (counted + Number.EPSILON));
    }
    for (let i = curve.length - 2; i >= 0; i--) {
      curve[i] = Math.max(curve[i] as number, curve[i + 1] as number);
    }
    let at = 0;
    let sum = 0;
    for (const point of RECALL_POINTS) {
      while (at < recalls.length && (recalls[at] as number) < point) at++;
      sum += curve[at] ?? 0;
    }
    return sum / RECALL_POINTS.length;
  });
}
