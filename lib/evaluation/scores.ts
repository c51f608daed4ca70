/** Gathers the results of one image after another, and makes the report. */
import type { Truth } from '../data/segmentation-dataset.js';
import { objectsOfTruth } from '../data/true-objects.js';
import type { Task } from '../options.js';
import { InstanceSegmentation } from '../results/instance.js';
import { PanopticSegmentation } from '../results/panoptic.js';
import type { Segmentation } from '../results/segmentation.js';
import type { SemanticSegmentation } from '../results/semantic.js';
import type { Background } from './background.js';
import { boundaryIouOf } from './boundary.js';
import { frequencyGroups, harmonicMean, type ScoredClass, scoreGroups } from './class-groups.js';
import { Confusion } from './confusion.js';
import { InstanceQuality } from './instance-quality.js';
import { Overlap } from './overlap.js';
import { type ImageQuality, matchSegments, PanopticQuality } from './panoptic-quality.js';
import { type EvaluationReport, type GroupScores, type ImageScore, rankingTask } from './report.js';
import type { ReportFacts } from './report-facts.js';

/** Confused pairs and worst images that a report lists. */
const LISTED = 24;

type Facts = ReportFacts & Pick<EvaluationReport, 'images' | 'seconds'>;

export class Scores {
  readonly #classes: readonly ScoredClass[];
  readonly #background: Background | undefined;
  readonly #panoptic: PanopticQuality;
  readonly #boundary: PanopticQuality | undefined;
  readonly #confusion: Confusion;
  readonly #instances: InstanceQuality;
  readonly #images: Record<Task, ImageScore[]> = { panoptic: [], semantic: [], instance: [] };
  readonly #tasks = new Set<Task>();

  constructor(
    classes: readonly ScoredClass[],
    boundary: boolean,
    background: Background | undefined,
  ) {
    this.#background = background;
    this.#classes = classes;
    this.#panoptic = new PanopticQuality(classes.length);
    this.#boundary = boundary ? new PanopticQuality(classes.length) : undefined;
    this.#confusion = new Confusion(classes.length);
    this.#instances = new InstanceQuality(boundary);
  }

  /** Adds what was found in an image, of the truth's size. */
  add(
    found: Segmentation,
    truth: Truth,
    image: Omit<ImageScore, 'score' | 'image'> & { name: string },
  ): void {
    this.#tasks.add(found.task);
    const { name, path, index } = image;
    const score = this.#count(found, truth);
    this.#images[found.task].push({ image: name, path, index, score });
  }

  /** @returns how well the image went, [0, 1] */
  #count(found: Segmentation, truth: Truth): number {
    if (found instanceof PanopticSegmentation) return this.#addPanoptic(found, truth);
    if (found instanceof InstanceSegmentation) {
      const isThing = (index: number): boolean => this.#classes[index]?.thing ?? false;
      return this.#instances.add(found, objectsOfTruth(truth, isThing), truth.coverage);
    }
    const { labelMap } = found as SemanticSegmentation;
    return this.#confusion.add(this.#background?.relabel(labelMap) ?? labelMap, truth);
  }

  #addPanoptic(found: PanopticSegmentation, truth: Truth): number {
    const map = found.segmentMap;
    const classes = found.segments.map(({ classIndex }) => classIndex);
    const overlap = new Overlap(map, classes.length, truth);
    const quality = matchSegments(overlap, classes, truth.segments);
    this.#panoptic.add(quality, classes, truth.segments);
    this.#addBoundary(overlap, found, truth);
    return qualityOfImage(quality);
  }

  #addBoundary(
    overlap: Overlap,
    { segmentMap, segments }: PanopticSegmentation,
    truth: Truth,
  ): void {
    if (this.#boundary === undefined) return;
    const classes = segments.map(({ classIndex }) => classIndex);
    const boundaryIou = boundaryIouOf(segmentMap, truth);
    const lesser = matchSegments(overlap, classes, truth.segments, (row, column, iou) => {
      // A pair that fails by its masks fails by the lesser of the two as well.
      if (iou <= 0.5) return iou;
      const id = truth.segments[column]?.id as number;
      return Math.min(iou, boundaryIou(row, id));
    });
    this.#boundary.add(lesser, classes, truth.segments);
  }

  report(facts: Facts): EvaluationReport {
    const score = (classes: readonly number[]): GroupScores => this.#group(classes);
    const groups = {
      ...scoreGroups(this.#classes, score),
      ...frequencyGroups(this.#classes, score),
    };
    const { seen, unseen } = groups;
    return {
      ...facts,
      groups,
      harmonic: {
        pq: harmonicMean(seen.panoptic?.pq, unseen.panoptic?.pq),
        miou: harmonicMean(seen.semantic?.miou, unseen.semantic?.miou),
        ap: harmonicMean(seen.instance?.ap, unseen.instance?.ap),
      },
      ...(this.#tasks.has('semantic') ? { pixelAccuracy: this.#confusion.pixelAccuracy() } : {}),
      perClass: this.#perClass(),
      confused: this.#confusion.worstPairs(LISTED).map((pair) => ({
        ...pair,
        truth: this.#classes[pair.truth]?.name as string,
        predicted: this.#classes[pair.predicted]?.name as string,
      })),
      worst: this.#images[rankingTask({ groups })]
        .toSorted((a, b) => a.score - b.score)
        .slice(0, LISTED),
    };
  }

  #group(classes: readonly number[]): GroupScores {
    const has = (task: Task): boolean => this.#tasks.has(task);
    const things = classes.filter((index) => this.#classes[index]?.thing);
    return {
      classes: classes.length,
      ...(has('panoptic') ? { panoptic: this.#panoptic.mean(classes) } : {}),
      ...(has('panoptic') && this.#boundary
        ? { boundaryPanoptic: this.#boundary.mean(classes) }
        : {}),
      ...(has('semantic') ? { semantic: this.#confusion.mean(classes) } : {}),
      ...(has('instance') ? this.#instances.mean(things) : {}),
    };
  }

  #perClass(): EvaluationReport['perClass'] {
    const ious = this.#confusion.ious();
    const { truth } = this.#confusion.totals();
    return this.#classes.map(({ name, thing, seen }, index) => ({
      name,
      thing,
      seen,
      pixels: this.#tasks.has('semantic') ? (truth[index] as number) : undefined,
      ...this.#panoptic.scoreOf(index),
      iou: this.#tasks.has('semantic') ? ious[index] : undefined,
      ap: this.#tasks.has('instance') && thing ? this.#instances.scoreOf(index).ap : undefined,
    }));
  }
}

/** PQ over the segments of one image, whatever their classes; 1 for an empty one. */
function qualityOfImage({ matches, falsePositives, falseNegatives }: ImageQuality): number {
  const total = matches.length + (falsePositives.length + falseNegatives.length) / 2;
  return total === 0 ? 1 : matches.reduce((sum, { iou }) => sum + iou, 0) / total;
}
