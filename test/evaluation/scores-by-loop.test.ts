/** Scores over pixels and boundaries, against loops that follow the definitions. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import {
  boundaryIouOf,
  boundaryOf,
  boundaryWidth,
  maskIou,
} from '../../lib/evaluation/boundary.js';
import { Confusion } from '../../lib/evaluation/confusion.js';
import type { Truth } from '../../lib/index.js';
import { erode } from './erosion-by-loop.js';
import { randomTruth } from './random-truth.js';

const CLASSES = 5;

describe('scores over pixels', () => {
  const random = new Random(3, 1);
  const images = Array.from({ length: 20 }, () => {
    const truth = randomTruth(random, 13, 9, CLASSES - 1);
    const labels = Int32Array.from(truth.ids, (id) => {
      const own = truth.segments.find((one) => one.id === id)?.classIndex ?? 0;
      return random.chance(0.7) ? own : random.below(CLASSES + 1) - 1;
    });
    return { truth, labels };
  });
  const confusion = new Confusion(CLASSES);
  for (const { labels, truth } of images) confusion.add(labels, truth);
  const labelled = images.flatMap(({ truth, labels }) =>
    Array.from(truth.ids, (id, at) => ({
      truth: truth.segments.find((one) => one.id === id)?.classIndex ?? -1,
      found: labels[at] as number,
    })).filter((pixel) => pixel.truth >= 0),
  );
  const count = (test: (pixel: { truth: number; found: number }) => boolean): number =>
    labelled.filter(test).length;
  const byLoop = Array.from({ length: CLASSES }, (_, c) => ({
    truth: count(({ truth }) => truth === c),
    iou:
      count(({ truth, found }) => truth === c && found === c) /
      count(({ truth, found }) => truth === c || found === c),
  }));
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

  it('has mean IoU over the classes of the truth, and over all that occur', () => {
    const { miou, miouUnion } = confusion.mean([...Array(CLASSES).keys()]);
    const inTruth = byLoop.filter(({ truth }) => truth > 0);
    expect(miou).toBeCloseTo(mean(inTruth.map(({ iou }) => iou)), 12);
    // The last class is only ever predicted, wrongly: it counts as 0 in one rule alone.
    expect(byLoop[CLASSES - 1]).toEqual({ truth: 0, iou: 0 });
    expect(miouUnion).toBeCloseTo(mean(byLoop.map(({ iou }) => iou)), 12);
    expect(miouUnion).toBeLessThan(miou);
  });

  it('has frequency-weighted IoU and accuracies', () => {
    const { fwiou, meanAccuracy } = confusion.mean([...Array(CLASSES).keys()]);
    const inTruth = byLoop.filter(({ truth }) => truth > 0);
    const weighted = inTruth.reduce((sum, { truth, iou }) => sum + truth * iou, 0);
    expect(fwiou).toBeCloseTo(weighted / labelled.length, 12);
    const right = count(({ truth, found }) => truth === found);
    expect(confusion.pixelAccuracy()).toBeCloseTo(right / labelled.length, 12);
    const recalls = [...Array(CLASSES - 1).keys()].map(
      (c) =>
        count(({ truth, found }) => truth === c && found === c) / count(({ truth }) => truth === c),
    );
    expect(meanAccuracy).toBeCloseTo(mean(recalls), 12);
  });

  it('lists the pairs that are confused most', () => {
    const pairs = confusion.worstPairs(3);
    for (const { truth, predicted, pixels } of pairs) {
      expect(pixels).toBe(count((one) => one.truth === truth && one.found === predicted));
    }
    expect(pairs[0]?.pixels).toBeGreaterThanOrEqual(pairs[1]?.pixels as number);
  });

  it('ignores void', () => {
    const truth: Truth = { width: 2, height: 1, ids: Uint32Array.of(0, 0), segments: [] };
    const empty = new Confusion(2);
    empty.add(Int32Array.of(0, 1), truth);
    expect(empty.mean([0, 1]).miou).toBeNaN();
  });
});

describe('boundaries', () => {
  it('equal what repeated erosion takes away', () => {
    const random = new Random(5, 5);
    for (let trial = 0; trial < 40; trial++) {
      const { ids, width, height } = randomTruth(random, 19, 14, 2);
      const mask = Uint8Array.from(ids, (id) => (id === 3 || id === 1003 ? 1 : 0));
      for (const distance of [1, 2, 4]) {
        const eroded = erode(mask, width, height, distance);
        const expected = mask.map((inside, at) => inside & (1 - (eroded[at] as number)));
        expect(boundaryOf(mask, width, height, distance)).toEqual(expected);
      }
    }
  });

  it('are 2 % of the diagonal wide, and at least 1', () => {
    expect(boundaryWidth(640, 480)).toBe(16);
    expect(boundaryWidth(10, 10)).toBe(1);
  });

  it('are rounded as the authors do, a half to even', () => {
    expect(boundaryWidth(500, 375)).toBe(12);
    expect(boundaryWidth(405, 540)).toBe(14);
    expect(boundaryWidth(501, 376)).toBe(13);
  });

  it.each([
    ['0', 0],
    ['of an id that is no segment', 9],
  ])('leave void (%s) out of the union', (_, void_) => {
    const side = 100;
    const column = (at: number): number => at % side;
    const ids = Uint32Array.from({ length: side * side }, (_, at) => (column(at) < 50 ? 7 : void_));
    const truth = {
      width: side,
      height: side,
      ids,
      segments: [{ id: 7, classIndex: 0, crowd: false }],
    };
    const found = Int32Array.from(ids, (_, at) => (column(at) < 60 ? 1 : 0));
    // As bowenc0221/boundary-iou-api counts: what is found in void leaves the union.
    expect(boundaryIouOf(found, truth)(1, 7)).toBeCloseTo(582 / 864, 12);
    const all = { ...truth, segments: [...truth.segments, { ...truth.segments[0], id: void_ }] };
    expect(boundaryIouOf(found, all as Truth)(1, 7)).toBeCloseTo(582 / 1206, 12);
  });

  it('of masks without a pixel have an IoU of 0', () => {
    expect(maskIou(Uint8Array.of(0), Uint8Array.of(0))).toBe(0);
    expect(maskIou(Uint8Array.of(1, 1, 0), Uint8Array.of(0, 1, 1))).toBeCloseTo(1 / 3);
  });
});
