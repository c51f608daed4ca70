/** `lexiseg eval --dataset vipseg`: scores of a bundle on videos. */

import { videoFacts, videoGroupTable } from '../evaluation/video/report-html.js';
import type { VideoReport } from '../index.js';
import { type BundleFlags, loadBundle } from './bundle-option.js';
import { OutputFolder } from './output-folder.js';
import { formatTable, ProgressLine, print, printJson } from './terminal.js';

export interface VideoEvalFlags extends BundleFlags {
  data: string;
  split: 'train' | 'val';
  vocab?: string;
  names: 'engineered' | 'plain' | 'both';
  templates: 'bundle' | 'photo' | 'bare';
  limit?: number;
  objectMask?: number;
  overlap?: number;
  out?: string;
  json?: boolean;
}

/** Name of the layout beside those of images. */
export const VIDEO_DATASET = 'vipseg';

export async function scoreVideos(flags: VideoEvalFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { evaluateVideo, openVipseg, readVocabulary, videoReportHtml } = await import(
    '../index.js'
  );
  progress.step(`reading ${flags.data}`);
  const dataset = await openVipseg(flags.data, flags.split);
  const naming = flags.names === 'plain' ? 'plain' : 'engineered';
  const vocabulary = flags.vocab && readVocabulary(flags.vocab, naming).classes;
  const segmenter = await loadBundle(flags, progress, signal);
  try {
    const { objectMask, overlap } = flags;
    const report = await evaluateVideo(segmenter, dataset, {
      ...(vocabulary ? { vocabulary } : {}),
      templates: flags.templates,
      thresholds: {
        ...(objectMask === undefined ? {} : { objectMask }),
        ...(overlap === undefined ? {} : { overlap }),
      },
      limit: flags.limit,
      onProgress: ({ done, total }) => progress.fraction('scoring', done, total),
      signal,
    });
    progress.clear();
    if (flags.json === true) printJson(report);
    else print(summary(report));
    if (flags.out === undefined) return;
    const folder = new OutputFolder(flags.out);
    for (const [name, content] of [
      ['report.json', `${JSON.stringify(report, null, 1)}\n`],
      ['report.html', videoReportHtml(report)],
    ] as const) {
      progress.step(`wrote ${await folder.write(name, content)}`);
    }
  } finally {
    progress.clear();
    await segmenter.dispose();
  }
}

const summary = (report: VideoReport): string =>
  [
    `${report.dataset}, ${report.videos} videos, ${report.frames} frames`,
    formatTable(...videoGroupTable(report)),
    formatTable(['all together', ''], videoFacts(report)),
  ].join('\n\n');
