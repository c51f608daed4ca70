/** The pages of evaluations say what their numbers are. */
import { expect, it } from 'vitest';
import type { EvaluationReport, GroupScores, PatchReport, VideoReport } from '../../lib/index.js';
import { patchReportHtml, reportHtml, videoReportHtml } from '../../lib/index.js';

function report(scores: Omit<GroupScores, 'classes'>): EvaluationReport {
  const group = { classes: 1, ...scores };
  return {
    bundle: 'model.pt',
    weights: 'random',
    dataset: 'street',
    vocabulary: 'names of street',
    wordsSha256: '0'.repeat(64),
    images: 1,
    groups: { all: group, seen: group, unseen: group, things: group, stuff: group },
    harmonic: { pq: 0.1, miou: 0.2, ap: 0.3 },
    perClass: [],
    confused: [],
    worst: [],
    seconds: { inference: 1, scoring: 1 },
  };
}

const PICTURES = [{ image: 'a', score: 0.25, found: 'data:,', truth: 'data:,' }];
const caption = (page: string): string | undefined => /<figcaption>(.*?)<\/fig/.exec(page)?.[1];

it('calls the score of an image by the task that was scored', () => {
  const panoptic = { pq: 0.5, sq: 0.5, rq: 1, classes: 1 };
  expect(caption(reportHtml(report({ panoptic }), PICTURES))).toBe('a: PQ 25.0; found, truth');
  const semantic = { miou: 0.5, miouUnion: 0.5, fwiou: 0.5, meanAccuracy: 0.5 };
  const right = caption(reportHtml(report({ semantic }), PICTURES));
  expect(right).toBe('a: 25.0 % of pixels right; found, truth');
  const half = { ap: 0.5, ap50: 0.5, ap75: 0.5, apSmall: 0.5, apMedium: 0.5, apLarge: 0.5 };
  const objects = caption(reportHtml(report({ instance: half }), PICTURES));
  expect(objects).toBe('a: F1 25.0; found, truth');
});

/** The cells of the table row that begins with `name`, as they stand in the page. */
function rowOf(page: string, name: string): string[] | undefined {
  const rows = [...page.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row = '']) =>
    [...row.matchAll(/<t[hd]>(.*?)<\/t[hd]>/g)].map(([, cell = '']) => cell),
  );
  return rows.find(([first]) => first === name);
}

it('shows the scores of videos by group, and those of all together', () => {
  const pq = (value: number) => ({ pq: value, sq: value, rq: value });
  const scores = (value: number) => ({
    classes: 3,
    vpq: { 1: pq(value), 2: pq(value / 2) },
    meanVpq: 0.75 * value,
    miou: value / 4,
    fwiou: value / 8,
  });
  const none = { ...scores(Number.NaN), classes: 0 };
  const video: VideoReport = {
    bundle: 'model.pt',
    weights: 'trained on streets',
    dataset: 'streets <b>',
    vocabulary: 'names of streets',
    wordsSha256: 'f'.repeat(64),
    videos: 2,
    frames: 30,
    groups: {
      all: scores(0.4),
      seen: scores(0.8),
      unseen: none,
      things: scores(0.4),
      stuff: scores(0.2),
    },
    harmonicMiou: Number.NaN,
    stq: 0.3,
    associationQuality: 0.36,
    segmentationQuality: 0.25,
    idSwitches: 5,
    trueThings: 12,
    consistency: { 8: 0.5, 16: Number.NaN },
    seconds: 10,
  };
  const page = videoReportHtml(video);
  expect(page).toContain('<h1>streets &lt;b&gt;: 2 videos, 30 frames</h1>');
  const head = ['classes', 'number', 'VPQ', 'VPQ 1', 'VPQ 2', 'mIoU', 'fwIoU'];
  expect(rowOf(page, 'classes')).toEqual(head);
  expect(rowOf(page, 'seen')).toEqual(['seen', '3', '60.0', '80.0', '40.0', '20.0', '10.0']);
  expect(rowOf(page, 'unseen')).toEqual(['unseen', '0', '–', '–', '–', '–', '–']);
  expect(rowOf(page, 'STQ')).toEqual(['STQ', '30.0']);
  expect(rowOf(page, 'changes of id')?.[1]).toBe('5 among 12 things');
  expect(rowOf(page, 'mVC 16')?.[1]).toBe('–');
  expect(rowOf(page, 'frames per second')?.[1]).toBe('3.00');
});

it('shows what patches know, and the curve', () => {
  const patches: PatchReport = {
    bundle: 'model & co.pt',
    weights: 'trained on streets',
    dataset: 'street',
    vocabulary: 'names of street',
    wordsSha256: 'f'.repeat(64),
    images: 7,
    patches: 480,
    accuracy: { all: 0.5, seen: 0.75, unseen: Number.NaN },
    coherence: {
      auc: 0.875,
      curve: [
        [0, 0],
        [0.25, 0.75],
        [1, 1],
      ],
      pairs: 4000,
    },
  };
  const page = patchReportHtml(patches);
  expect(page).toContain('<h1>Patches of 7 images of street</h1>');
  expect(rowOf(page, 'bundle')?.[1]).toBe('model &amp; co.pt');
  expect(rowOf(page, 'patch classification accuracy')?.[1]).toBe('50.0 %');
  expect(rowOf(page, 'of unseen classes')?.[1]).toBe('–');
  expect(rowOf(page, 'semantic coherence (AUC)')?.[1]).toBe('0.8750');
  expect(page).toContain('(4000 pairs)');
  const curves = [...page.matchAll(/<polyline[^>]* points="([^"]*)"/g)];
  expect(curves.map(([, points = '']) => points.split(' ').length)).toEqual([3, 2]);
});

it('has a column for what was scored, and none for what was not', () => {
  const semantic = { miou: 0.5, miouUnion: 0.4, fwiou: 0.3, meanAccuracy: 0.5 };
  const page = reportHtml(report({ semantic }));
  expect(page).toMatch(/<th>mIoU<\/th><th>mIoU \(union\)<\/th><th>fwIoU<\/th><\/tr>/);
  expect(page).toContain('mIoU 20.0</td>');
  const half = { ap: 0.5, ap50: 0.5, ap75: 0.5, apSmall: 0.5, apMedium: 0.5, apLarge: 0.5 };
  const objects = reportHtml(report({ instance: half, boundaryInstance: half }));
  expect(objects).toMatch(/<th>AP<\/th><th>AP50<\/th><th>boundary AP<\/th><\/tr>/);
  expect(objects).toContain('AP 30.0</td>');
  expect(objects).not.toContain('pixels right');
});
