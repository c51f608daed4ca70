/** Scores of objects, by masks and by boundaries, against loops over pixels. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { boundaryWidth } from '../../lib/evaluation/boundary.js';
import { Scores } from '../../lib/evaluation/scores.js';
import {
  averagePrecision,
  count,
  draw,
  HEIGHT,
  type Iou,
  NO_FACTS,
  overlap,
  segmentation,
  THRESHOLDS,
  truthOf,
  verdicts,
  WIDTH,
} from './drawn-instances.js';
import { erode } from './erosion-by-loop.js';

const CLASSES = ['cat', 'dog'].map((name, index) => ({
  index,
  name,
  synonyms: [name],
  thing: true,
  seen: index === 0,
}));

function edge(mask: Uint8Array): Uint8Array {
  const inner = erode(mask, WIDTH, HEIGHT, boundaryWidth(WIDTH, HEIGHT));
  return mask.map((inside, at) => inside & (1 - (inner[at] as number)));
}

const byMasks: Iou = overlap;
const byBoundaries: Iou = (found, truth, crowd) =>
  crowd
    ? overlap(found, truth, true)
    : Math.min(overlap(found, truth, false), overlap(edge(found), edge(truth), false));

describe('scores of objects', () => {
  const random = new Random(11, 4);
  const pictures = Array.from({ length: 25 }, () => draw(random, 2));
  const scores = new Scores(CLASSES, true, undefined);
  for (const [index, { truths, found }] of pictures.entries()) {
    const name = `picture ${index}`;
    scores.add(segmentation(found, CLASSES), truthOf(truths), { name, path: name, index });
  }
  const report = scores.report({ ...NO_FACTS, images: pictures.length });

  it.each([
    ['instance', byMasks],
    ['boundaryInstance', byBoundaries],
  ] as const)('%s precision is that of a loop', (key, iou) => {
    const ofClass = (index: number, least: number): number => {
      const finds = pictures.flatMap((picture) => verdicts(picture, index, least, iou));
      return averagePrecision(finds, count(pictures, index));
    };
    const at = (least: number): number => (ofClass(0, least) + ofClass(1, least)) / 2;
    const mean = THRESHOLDS.reduce((sum, least) => sum + at(least), 0) / 10;
    const found = report.groups.all[key];
    expect(found?.ap).toBeCloseTo(mean, 9);
    expect(found?.ap50).toBeCloseTo(at(0.5), 9);
    expect(found?.ap75).toBeCloseTo(at(0.75), 9);
  });

  it('rank images by the F1 that the best score threshold gives, the worst first', () => {
    const byLoop = pictures.map((picture) => {
      const finds = CLASSES.flatMap(({ index }) => verdicts(picture, index, 0.5, byMasks));
      const truths = CLASSES.reduce((sum, { index }) => sum + count([picture], index), 0);
      const f1 = finds.map(({ score: least }) => {
        const kept = finds.filter(({ score }) => score >= least);
        return (2 * kept.filter(({ right }) => right).length) / (kept.length + truths);
      });
      return truths === 0 ? 1 : Math.max(0, ...f1);
    });
    expect(report.worst.length).toBe(24);
    for (const { index, score } of report.worst) expect(score).toBeCloseTo(byLoop[index] ?? -1, 9);
    const ranked = report.worst.map(({ score }) => score);
    expect(ranked).toEqual(byLoop.toSorted((a, b) => a - b).slice(0, 24));
    expect(ranked[0]).toBeLessThan(ranked[12] as number);
  });

  it('have the harmonic mean of seen and unseen classes', () => {
    const { seen, unseen } = report.groups;
    const [a, b] = [seen.instance?.ap as number, unseen.instance?.ap as number];
    expect(report.harmonic.ap).toBeCloseTo((2 * a * b) / (a + b), 12);
  });

  it('are lower by boundaries, and there are some', () => {
    const { instance, boundaryInstance } = report.groups.all;
    expect(boundaryInstance?.ap).toBeGreaterThan(0.05);
    expect(boundaryInstance?.ap).toBeLessThan(0.9 * (instance?.ap ?? 0));
  });
});
