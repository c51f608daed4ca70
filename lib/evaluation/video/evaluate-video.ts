/** Runs a bundle over videos and scores what it finds and follows. */

import type { Truth } from '../../data/segmentation-dataset.js';
import { checkTruthSize } from '../../data/truth-size.js';
import type { VideoDataset } from '../../data/video-dataset.js';
import { checkCallback, checkOptions, integerIn } from '../../options.js';
import type { Segmenter } from '../../segmenter.js';
import type { VocabularyClass } from '../../text/classes.js';
import { segmentVideo, type VideoFrame, type VideoOptions } from '../../video/segment-video.js';
import { type ClassGroup, groupedClasses, harmonicMean, scoreGroups } from '../class-groups.js';
import { classInputs, WORDED_KEYS, type WordedOptions } from '../class-inputs.js';
import { Confusion } from '../confusion.js';
import type { PanopticScore } from '../panoptic-quality.js';
import { type ReportFacts, reportFacts } from '../report-facts.js';
import { AssociationQuality } from './association-quality.js';
import { VideoConsistency } from './consistency.js';
import { VideoPanopticQuality } from './panoptic-tubes.js';
import { countFrame } from './tubes.js';

export interface VideoEvaluationOptions extends WordedOptions {
  readonly thresholds?: VideoOptions['thresholds'];
  readonly tracking?: VideoOptions['tracking'];
  readonly sceneCut?: number | undefined;
  /** Videos to look at, from the first; default all. */
  readonly limit?: number | undefined;
}

/** Scores of some classes, each in [0, 1]; NaN where nothing was counted. */
export interface VideoScores {
  readonly classes: number;
  /** Video panoptic quality by the length of the window, frames. */
  readonly vpq: Readonly<Record<string, PanopticScore>>;
  /** Mean of `vpq` over the lengths that any video has. */
  readonly meanVpq: number;
  /** Mean IoU over classes that occur. */
  readonly miou: number;
  /** IoU weighted by how often the class occurs. */
  readonly fwiou: number;
}

/** What was scored, and on what. */
interface VideoFacts extends ReportFacts {
  readonly videos: number;
  readonly frames: number;
}

export interface VideoReport extends VideoFacts {
  readonly groups: Readonly<Record<ClassGroup, VideoScores>>;
  /** Harmonic mean of the mIoU of seen and unseen classes. */
  readonly harmonicMiou: number;
  /** √(association · segmentation). */
  readonly stq: number;
  readonly associationQuality: number;
  /** Mean IoU over classes that occur or are predicted. */
  readonly segmentationQuality: number;
  /** Changes of id among all true things. */
  readonly idSwitches: number;
  readonly trueThings: number;
  /** Video consistency by the length of the window, frames. */
  readonly consistency: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** VIPSeg's windows. */
const WINDOWS = [1, 2, 4, 6];
const CONSISTENCY_WINDOWS = [8, 16];
const KEYS = [...WORDED_KEYS, 'thresholds', 'tracking', 'sceneCut', 'limit'];

/**
 * VPQ, STQ, mVC and mIoU of a bundle on videos.
 *
 * @throws LexisegError `ERR_DATA` for what the data has wrong, `ERR_VOCABULARY` for a vocabulary of
 *   another size than the data's, and as {@link segmentVideo}.
 */
export async function evaluateVideo(
  segmenter: Segmenter,
  dataset: VideoDataset,
  options: VideoEvaluationOptions = {},
): Promise<VideoReport> {
  checkOptions(options, KEYS, 'options');
  checkCallback(options.onProgress, 'options.onProgress');
  const most = integerIn(options.limit ?? dataset.videos.length, 1, 1e9, 'options.limit');
  const videos = dataset.videos.slice(0, most);
  const { signal, templates, thresholds, tracking, sceneCut } = options;
  const vocabulary = await segmenter.createVocabulary(classInputs(dataset, options.vocabulary), {
    templates,
    duplicates: 'keep',
    signal,
  });
  const began = performance.now();
  const scores = new Sums(groupedClasses(vocabulary.classes, dataset));
  const total = videos.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  try {
    for (const video of videos) {
      const settings = { thresholds, tracking, sceneCut, signal };
      const paths = Array.from({ length: video.length }, (_, index) => video.frame(index));
      for await (const frame of segmentVideo(segmenter, paths, vocabulary, settings)) {
        using segmentation = frame.segmentation;
        const truth = await video.truth(frame.index);
        checkTruthSize(video.frame(frame.index), segmentation, truth);
        scores.add(segmentation, truth);
        options.onProgress?.({ done: ++done, total });
      }
      scores.endVideo();
    }
    return {
      ...reportFacts(segmenter, dataset, vocabulary, options.vocabularyName),
      videos: videos.length,
      frames: total,
      ...scores.report(),
      seconds: (performance.now() - began) / 1000,
    };
  } finally {
    vocabulary.dispose();
  }
}

/** All scores of one run. */
class Sums {
  readonly #classes: readonly VocabularyClass[];
  readonly #quality: readonly VideoPanopticQuality[];
  readonly #association: AssociationQuality;
  readonly #consistency = CONSISTENCY_WINDOWS.map((length) => new VideoConsistency(length));
  readonly #confusion: Confusion;

  constructor(classes: readonly VocabularyClass[]) {
    this.#classes = classes;
    this.#quality = WINDOWS.map((length) => new VideoPanopticQuality(length, classes.length));
    this.#association = new AssociationQuality((index) => classes[index]?.thing ?? false);
    this.#confusion = new Confusion(classes.length);
  }

  add(found: VideoFrame['segmentation'], truth: Truth): void {
    const { segmentMap, segments } = found;
    const frame = countFrame(segmentMap, segments, truth);
    for (const quality of this.#quality) quality.add(frame);
    this.#association.add(frame);
    const classOf = new Map(segments.map(({ id, classIndex }) => [id, classIndex]));
    const labels = segmentMap.map((id) => classOf.get(id) ?? -1);
    for (const consistency of this.#consistency) consistency.add(labels, truth);
    this.#confusion.add(labels, truth);
  }

  endVideo(): void {
    for (const sum of [...this.#quality, this.#association, ...this.#consistency]) sum.endVideo();
  }

  report(): Omit<VideoReport, keyof VideoFacts | 'seconds'> {
    const groups = scoreGroups(this.#classes, (classes) => this.#group(classes));
    const { quality: associationQuality, switches, tubes } = this.#association;
    const segmentationQuality = this.#confusion.mean([...this.#classes.keys()]).miouUnion;
    return {
      groups,
      harmonicMiou: harmonicMean(groups.seen.miou, groups.unseen.miou),
      stq: Math.sqrt(associationQuality * segmentationQuality),
      associationQuality,
      segmentationQuality,
      idSwitches: switches,
      trueThings: tubes,
      consistency: Object.fromEntries(
        this.#consistency.map(({ length, score }) => [length, score]),
      ),
    };
  }

  #group(classes: readonly number[]): VideoScores {
    const rows = this.#quality.map(
      ({ length, quality }) => [length, quality.mean(classes)] as const,
    );
    const { miou, fwiou } = this.#confusion.mean(classes);
    const counted = rows.filter(([, { pq }]) => !Number.isNaN(pq));
    return {
      classes: classes.length,
      vpq: Object.fromEntries(rows.map(([length, { pq, sq, rq }]) => [length, { pq, sq, rq }])),
      meanVpq: counted.reduce((sum, [, { pq }]) => sum + pq, 0) / counted.length,
      miou,
      fwiou,
    };
  }
}
