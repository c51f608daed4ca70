/** An evaluation as one HTML page that needs nothing beside itself. */
import { escapeXml } from '../results/svg-text.js';
import type { ClassScores, EvaluationReport, GroupScores } from './report.js';

/** A picture of one image: what was found, and what is true, as `data:` URLs. */
export interface ReportPicture {
  readonly image: string;
  readonly score: number;
  readonly found: string;
  readonly truth: string;
}

const percent = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '–' : (100 * value).toFixed(1);

const STYLE = `
  :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
  body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; margin: 1rem 0; }
  th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
  th:first-child, td:first-child { text-align: left; }
  thead th { position: sticky; top: 0; background: Canvas; }
  .bar { display: inline-block; height: .6em; background: #4a7fd6; vertical-align: baseline; }
  figure { display: inline-block; margin: .5rem; width: 22rem; vertical-align: top; }
  figure img { width: 49%; } figcaption { font-size: 13px; overflow-wrap: anywhere; }
  .scroll { max-height: 32rem; overflow: auto; }`;

/** The page; `pictures` of the worst images come last. */
export function reportHtml(
  report: EvaluationReport,
  pictures: readonly ReportPicture[] = [],
): string {
  const title = `${report.dataset}: ${report.images} images`;
  const parts = [
    `<h1>${escapeXml(title)}</h1>`,
    facts(report),
    '<h2>Groups of classes</h2>',
    groupTable(report.groups),
    `<p>Harmonic mean of seen and unseen: PQ ${percent(report.harmonic.pq)}, ` +
      `mIoU ${percent(report.harmonic.miou)}.</p>`,
    '<h2>Classes</h2>',
    classTable(report.perClass),
    '<h2>What is taken for what</h2>',
    confusedTable(report),
  ];
  if (pictures.length > 0) parts.push('<h2>The worst images</h2>', ...pictures.map(figure));
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    `<title>${escapeXml(title)}</title><style>${STYLE}</style></head>` +
    `<body>${parts.join('\n')}</body></html>\n`
  );
}

function facts(report: EvaluationReport): string {
  const { inference, scoring } = report.seconds;
  const rows = [
    ['bundle', report.bundle],
    ['weights', report.weights],
    ['vocabulary', report.vocabulary],
    ['pixels right', `${percent(report.pixelAccuracy)} %`],
    ['time', `${inference.toFixed(1)} s in the network, ${scoring.toFixed(1)} s in scoring`],
  ];
  return table(['', ''], rows);
}

function groupTable(groups: EvaluationReport['groups']): string {
  const head = [
    'group',
    'classes',
    'PQ',
    'SQ',
    'RQ',
    'boundary PQ',
    'mIoU (in truth)',
    'mIoU (union)',
    'fwIoU',
    'AP',
    'AP50',
  ];
  return table(head, Object.entries(groups).map(groupRow));
}

const groupRow = ([name, scores]: [string, GroupScores]): string[] => [
  name,
  String(scores.classes),
  percent(scores.panoptic?.pq),
  percent(scores.panoptic?.sq),
  percent(scores.panoptic?.rq),
  percent(scores.boundaryPanoptic?.pq),
  percent(scores.semantic?.miou),
  percent(scores.semantic?.miouUnion),
  percent(scores.semantic?.fwiou),
  percent(scores.instance?.ap),
  percent(scores.instance?.ap50),
];

function classTable(classes: readonly ClassScores[]): string {
  const shown = classes.filter(({ pq, pixels }) => pq !== undefined || pixels > 0);
  const ordered = [...shown].sort((a, b) => (b.pq ?? b.iou ?? 0) - (a.pq ?? a.iou ?? 0));
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
  return table(['is', 'was called', 'pixels', 'of the class'], rows);
}

const figure = ({ image, score, found, truth }: ReportPicture): string =>
  `<figure><img src="${found}" alt="found"> <img src="${truth}" alt="truth">` +
  `<figcaption>${escapeXml(image)}: PQ ${percent(score)}; found, truth</figcaption></figure>`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  rawTable(
    head,
    rows.map((row) => row.map(escapeXml)),
  );

/** Cells are HTML already. */
function rawTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string): string =>
    `<tr>${row.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return (
    `<table><thead>${cells(head.map(escapeXml), 'th')}</thead>` +
    `<tbody>${rows.map((row) => cells(row, 'td')).join('')}</tbody></table>`
  );
}
