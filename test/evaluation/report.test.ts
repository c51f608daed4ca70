/** The page of an evaluation says what its numbers are. */
import { expect, it } from 'vitest';
import type { EvaluationReport, GroupScores } from '../../lib/index.js';
import { reportHtml } from '../../lib/index.js';

function report(scores: Omit<GroupScores, 'classes'>): EvaluationReport {
  const group = { classes: 1, ...scores };
  return {
    bundle: 'model.pt',
    weights: 'random',
    dataset: 'street',
    vocabulary: 'names of street',
    images: 1,
    groups: { all: group, seen: group, unseen: group, things: group, stuff: group },
    harmonic: { pq: Number.NaN, miou: Number.NaN },
    perClass: [],
    confused: [],
    worst: [],
    seconds: { inference: 1, scoring: 1 },
  };
}

const PICTURES = [{ image: 'a', score: 0.25, found: 'data:,', truth: 'data:,' }];
const caption = (page: string): string | undefined => /<figcaption>(.*?)<\/fig/.exec(page)?.[1];

it('calls the score of an image PQ where panoptic maps were scored, else pixels right', () => {
  const panoptic = { pq: 0.5, sq: 0.5, rq: 1, classes: 1 };
  expect(caption(reportHtml(report({ panoptic }), PICTURES))).toBe('a: PQ 25.0; found, truth');
  expect(caption(reportHtml(report({}), PICTURES))).toBe('a: 25.0 % of pixels right; found, truth');
});
