/** Scores as tables for people: as many columns and rows as something was scored. */
import type { EvaluationReport, GroupScores } from './report.js';

/** Of a share; a dash where there is none. */
export const percent = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '–' : (100 * value).toFixed(1);

const COLUMNS: readonly [title: string, value: (scores: GroupScores) => number | undefined][] = [
  ['PQ', ({ panoptic }) => panoptic?.pq],
  ['SQ', ({ panoptic }) => panoptic?.sq],
  ['RQ', ({ panoptic }) => panoptic?.rq],
  ['boundary PQ', ({ boundaryPanoptic }) => boundaryPanoptic?.pq],
  ['mIoU', ({ semantic }) => semantic?.miou],
  ['mIoU (union)', ({ semantic }) => semantic?.miouUnion],
  ['fwIoU', ({ semantic }) => semantic?.fwiou],
  ['AP', ({ instance }) => instance?.ap],
  ['AP50', ({ instance }) => instance?.ap50],
  ['boundary AP', ({ boundaryInstance }) => boundaryInstance?.ap],
];

/** Scores by group of classes: the head and the rows. */
export function groupTable({
  groups,
}: Pick<EvaluationReport, 'groups'>): [head: string[], rows: string[][]] {
  const shown = COLUMNS.filter(([, value]) => value(groups.all) !== undefined);
  const rows = Object.entries(groups).map(([name, scores]) => [
    name,
    String(scores.classes),
    ...shown.map(([, value]) => percent(value(scores))),
  ]);
  return [['classes', 'number', ...shown.map(([title]) => title)], rows];
}

/** What is one number for all classes: rows. */
export function overallRows({ groups, harmonic, pixelAccuracy }: EvaluationReport): string[][] {
  const { all } = groups;
  const means = [
    ...(all.panoptic ? [`PQ ${percent(harmonic.pq)}`] : []),
    ...(all.semantic ? [`mIoU ${percent(harmonic.miou)}`] : []),
    ...(all.instance ? [`AP ${percent(harmonic.ap)}`] : []),
  ];
  return [
    ['harmonic mean of seen and unseen', means.join(', ')],
    ...(all.semantic ? [['pixels right', `${percent(pixelAccuracy)} %`]] : []),
  ];
}
