/** What an evaluation found, as plain data. */

import type { ClassFrequency } from '../data/segmentation-dataset.js';
import type { Task } from '../options.js';
import type { PrecisionScore } from './average-precision.js';
import type { ClassGroup } from './class-groups.js';
import type { SemanticScore } from './confusion.js';
import type { PanopticScore } from './panoptic-quality.js';
import type { ReportFacts } from './report-facts.js';

/** Scores of a group of classes: all, seen while training, or not. */
export interface GroupScores {
  /** Classes in the group. */
  readonly classes: number;
  readonly panoptic?: PanopticScore & { readonly classes: number };
  readonly boundaryPanoptic?: PanopticScore & { readonly classes: number };
  readonly semantic?: SemanticScore;
  readonly instance?: PrecisionScore;
  readonly boundaryInstance?: PrecisionScore;
}

/** Scores of one class. */
export interface ClassScores {
  readonly name: string;
  readonly thing: boolean;
  readonly seen: boolean;
  /** Pixels of it in the truth, where semantic maps are scored. */
  readonly pixels?: number | undefined;
  readonly pq?: number | undefined;
  readonly sq?: number | undefined;
  readonly rq?: number | undefined;
  readonly iou?: number | undefined;
  readonly ap?: number | undefined;
}

/**
 * One image and how well it went, in [0, 1], by {@link rankingTask}: PQ over its segments, the share of
 * pixels that is right, or F1 of its objects at an IoU of 0.5.
 */
export interface ImageScore {
  readonly image: string;
  readonly path: string;
  readonly index: number;
  readonly score: number;
}

export interface EvaluationReport extends ReportFacts {
  readonly images: number;
  /** With rare, common and frequent classes where the data set tells them apart. */
  readonly groups: Readonly<Record<ClassGroup, GroupScores>> & {
    readonly [Key in ClassFrequency]?: GroupScores;
  };
  /** Harmonic means of seen and unseen; NaN where either is missing. */
  readonly harmonic: { readonly pq: number; readonly miou: number; readonly ap: number };
  /** Share of all pixels that the semantic map has right. */
  readonly pixelAccuracy?: number | undefined;
  readonly perClass: readonly ClassScores[];
  readonly confused: readonly {
    readonly truth: string;
    readonly predicted: string;
    readonly pixels: number;
    readonly share: number;
  }[];
  /** Images, the worst first. */
  readonly worst: readonly ImageScore[];
  /** Seconds spent by the network and by counting. */
  readonly seconds: { readonly inference: number; readonly scoring: number };
}

const RANKING: readonly Task[] = ['panoptic', 'semantic', 'instance'];

/** What the worst images are the worst at: the first of these tasks that was scored. */
export const rankingTask = ({ groups }: Pick<EvaluationReport, 'groups'>): Task =>
  RANKING.find((task) => groups.all[task] !== undefined) as Task;
