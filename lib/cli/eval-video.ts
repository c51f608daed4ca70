/** `lexiseg eval --dataset vipseg`: scores of a bundle on videos. */

import { wordsOf } from '../evaluation/report-facts.js';
import { videoFacts, videoGroupTable } from '../evaluation/video/report-html.js';
import type { VideoReport } from '../index.js';
import type { AssociationFlags } from './association-option.js';
import { type BundleFlags, loadBundle } from './bundle-option.js';
import { wordsFor } from './dataset-words.js';
import { UsageError } from './exit.js';
import { openReport, writeReport } from './report-files.js';
import { formatTable, ProgressLine, print, printJson } from './terminal.js';
import { type ThresholdFlags, thresholdsOf } from './threshold-options.js';

export interface VideoEvalFlags extends BundleFlags, ThresholdFlags, AssociationFlags {
  data: string;
  split: 'train' | 'val';
  vocab?: string;
  task?: unknown;
  boundary?: unknown;
  background?: unknown;
  space: 'all' | 'seen' | 'unseen';
  names: 'engineered' | 'plain' | 'both';
  templates: 'bundle' | 'photo' | 'bare';
  limit?: number;
  out?: string;
  json?: boolean;
}

/** Name of the layout beside those of images. */
export const VIDEO_DATASET = 'vipseg';

/** Of images only; given for videos they would be passed over in silence. */
const OF_IMAGES = ['task', 'boundary', 'background'] as const;

export async function scoreVideos(flags: VideoEvalFlags, signal: AbortSignal): Promise<void> {
  const given = OF_IMAGES.find((name) => flags[name] !== undefined);
  if (given !== undefined) throw new UsageError(`--${given} is for images, not for videos`);
  if (flags.space !== 'all') throw new UsageError('--space is for images, not for videos');
  const { names } = flags;
  if (names === 'both') throw new UsageError('--names both is for images, not for videos');
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { evaluateVideo, openVipseg, videoReportHtml } = await import('../index.js');
  await openReport(flags.out);
  progress.step(`reading ${flags.data}`);
  const dataset = await openVipseg(flags.data, flags.split);
  const words = await wordsFor(dataset, flags.vocab, names);
  const segmenter = await loadBundle(flags, progress, signal);
  try {
    const report = await evaluateVideo(segmenter, dataset, {
      vocabulary: words.classes,
      vocabularyName: words.name,
      templates: flags.templates,
      thresholds: thresholdsOf(flags),
      tracking: { association: flags.association },
      limit: flags.limit,
      onProgress: ({ done, total }) => progress.fraction('scoring', done, total),
      signal,
    });
    progress.clear();
    if (flags.json === true) printJson(report);
    else print(summary(report));
    if (flags.out === undefined) return;
    await writeReport(flags.out, 'report', { report, html: videoReportHtml(report) }, progress);
  } finally {
    progress.clear();
    await segmenter.dispose();
  }
}

const summary = (report: VideoReport): string =>
  [
    `${report.dataset}, ${report.videos} videos, ${report.frames} frames, ${wordsOf(report)}`,
    formatTable(...videoGroupTable(report)),
    formatTable(['all together', ''], videoFacts(report)),
  ].join('\n\n');
