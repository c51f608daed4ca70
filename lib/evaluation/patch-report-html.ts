/** What patches know, as one HTML page that needs nothing beside itself. */
import { htmlPage, htmlTable } from '../results/html-page.js';
import { linePlot } from '../results/line-plot.js';
import type { PatchReport } from './patches.js';
import { factRows } from './report-facts.js';

const percent = (value: number): string =>
  Number.isNaN(value) ? '–' : `${(100 * value).toFixed(1)} %`;

/** Rows of a table. */
export const patchFacts = ({ accuracy, coherence, patches }: PatchReport): string[][] => [
  ['patches', String(patches)],
  ['patch classification accuracy', percent(accuracy.all)],
  ['of seen classes', percent(accuracy.seen)],
  ['of unseen classes', percent(accuracy.unseen)],
  ['semantic coherence (AUC)', coherence.auc.toFixed(4)],
];

/** The page, with the ROC curve. */
export function patchReportHtml(report: PatchReport): string {
  const { dataset, images, coherence } = report;
  const chance = { name: 'chance', points: [[0, 0] as const, [1, 1] as const] };
  const title = `Pairs of one class found, by pairs of two taken for one (${coherence.pairs} pairs)`;
  return htmlPage(`Patches of ${images} images of ${dataset}`, [
    htmlTable(['', ''], [...factRows(report), ...patchFacts(report)]),
    linePlot(title, [{ name: 'cosine of tokens', points: coherence.curve }, chance]),
  ]);
}
