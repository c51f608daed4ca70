/** An evaluation as one HTML page that needs nothing beside itself. */
import type { Task } from '../options.js';
import { htmlPage, htmlTable, rawTable } from '../results/html-page.js';
import { escapeXml } from '../results/svg-text.js';
import { type ClassScores, type EvaluationReport, rankingTask } from './report.js';
import { factRows } from './report-facts.js';
import { groupTable, overallRows, percent } from './score-table.js';

/** A picture of one image: what was found, and what is true, as `data:` URLs. */
export interface ReportPicture {
  readonly image: string;
  readonly score: number;
  readonly found: string;
  readonly truth: string;
}

/** The page; `pictures` of the worst images come last. */
export function reportHtml(
  report: EvaluationReport,
  pictures: readonly ReportPicture[] = [],
): string {
  const title = `${report.dataset}: ${report.images} images`;
  const parts = [
    facts(report),
    '<h2>Groups of classes</h2>',
    htmlTable(...groupTable(report)),
    '<h2>Classes</h2>',
    classTable(report.perClass),
    '<h2>What is taken for what</h2>',
    confusedTable(report),
  ];
  if (pictures.length > 0) {
    const scored = SCORED[rankingTask(report)];
    const figures = pictures.map((picture) => figure(picture, scored(percent(picture.score))));
    parts.push('<h2>The worst images</h2>', ...figures);
  }
  return htmlPage(title, parts);
}

/** What the score of an image is called. */
const SCORED: Readonly<Record<Task, (value: string) => string>> = {
  panoptic: (value) => `PQ ${value}`,
  semantic: (value) => `${value} % of pixels right`,
  instance: (value) => `F1 ${value}`,
};

function facts(report: EvaluationReport): string {
  const { inference, scoring } = report.seconds;
  const rows = [
    ...factRows(report),
    ...overallRows(report),
    ['time', `${inference.toFixed(1)} s in the network, ${scoring.toFixed(1)} s in scoring`],
  ];
  return htmlTable(['', ''], rows);
}

function classTable(classes: readonly ClassScores[]): string {
  const found = (ap = Number.NaN): boolean => !Number.isNaN(ap);
  const shown = classes.filter(
    ({ pq, pixels, ap }) => pq !== undefined || (pixels ?? 0) > 0 || found(ap),
  );
  const key = ({ pq, iou, ap }: ClassScores): number => pq ?? iou ?? ap ?? 0;
  const ordered = shown.toSorted((a, b) => key(b) - key(a));
  const rows = ordered.map((one) => [
    escapeXml(one.name),
    `${one.thing ? 'thing' : 'stuff'}, ${one.seen ? 'seen' : 'unseen'}`,
    `${percent(one.pq)} <span class="bar" style="width:${(6 * (one.pq ?? 0)).toFixed(2)}rem"></span>`,
    percent(one.sq),
    percent(one.rq),
    percent(one.iou),
    percent(one.ap),
  ]);
  const head = ['class', 'kind', 'PQ', 'SQ', 'RQ', 'IoU', 'AP'];
  return `<div class="scroll">${rawTable(head, rows)}</div>`;
}

function confusedTable({ confused }: EvaluationReport): string {
  const rows = confused.map(({ truth, predicted, pixels, share }) => [
    truth,
    predicted,
    pixels.toLocaleString('en'),
    `${percent(share)} %`,
  ]);
  return htmlTable(['is', 'was called', 'pixels', 'of the class'], rows);
}

const figure = ({ image, found, truth }: ReportPicture, scored: string): string =>
  `<figure><img src="${found}" alt="found"> <img src="${truth}" alt="truth">` +
  `<figcaption>${escapeXml(image)}: ${scored}; found, truth</figcaption></figure>`;
