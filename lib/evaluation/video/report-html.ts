/** An evaluation on videos as one HTML page that needs nothing beside itself. */
import { htmlPage, htmlTable } from '../../results/html-page.js';
import { factRows } from '../report-facts.js';
import { percent } from '../score-table.js';
import type { VideoReport } from './evaluate-video.js';

/** VPQ, mIoU and fwIoU by group of classes: the head and the rows of a table. */
export function videoGroupTable({ groups }: VideoReport): [head: string[], rows: string[][]] {
  const lengths = Object.keys(Object.values(groups)[0]?.vpq ?? {});
  const head = ['classes', 'number', 'VPQ', ...lengths.map((length) => `VPQ ${length}`)];
  const rows = Object.entries(groups).map(([name, { classes, meanVpq, vpq, miou, fwiou }]) => [
    name,
    String(classes),
    percent(meanVpq),
    ...lengths.map((length) => percent(vpq[length]?.pq)),
    percent(miou),
    percent(fwiou),
  ]);
  return [[...head, 'mIoU', 'fwIoU'], rows];
}

/** What is one number for all classes: rows of a table. */
export function videoFacts(report: VideoReport): string[][] {
  const { trueThings, idSwitches, consistency } = report;
  return [
    ['STQ', percent(report.stq)],
    ['association quality', percent(report.associationQuality)],
    ['segmentation quality', percent(report.segmentationQuality)],
    ['changes of id', `${idSwitches} among ${trueThings} things`],
    ...Object.entries(consistency).map(([length, score]) => [`mVC ${length}`, percent(score)]),
    ['harmonic mIoU of seen and unseen', percent(report.harmonicMiou)],
    ['frames per second', (report.frames / report.seconds).toFixed(2)],
  ];
}

/** The page. */
export function videoReportHtml(report: VideoReport): string {
  const { dataset, videos, frames } = report;
  return htmlPage(`${dataset}: ${videos} videos, ${frames} frames`, [
    `<h2>Groups of classes</h2>`,
    htmlTable(...videoGroupTable(report)),
    '<h2>All together</h2>',
    htmlTable(['', ''], [...factRows(report), ...videoFacts(report)]),
  ]);
}
