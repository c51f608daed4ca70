/** Panoptic quality against a pixel loop, and the cases where the definition is easily missed. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { Overlap } from '../../lib/evaluation/overlap.js';
import { matchSegments, PanopticQuality } from '../../lib/evaluation/panoptic-quality.js';
import { openDataset, type Truth } from '../../lib/index.js';
import { root } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';
import { countByLoop } from './quality-by-loop.js';
import { randomFound, randomTruth } from './random-truth.js';

describe('panoptic quality', () => {
  it('equals a loop over pixels', () => {
    const random = new Random(7, 0);
    const classes = 4;
    const quality = new PanopticQuality(classes);
    const sums = Array.from({ length: classes }, () => ({
      iouSum: 0,
      truePositives: 0,
      falsePositives: 0,
      falseNegatives: 0,
    }));
    for (let image = 0; image < 60; image++) {
      const truth = randomTruth(random, 17, 11, classes);
      const found = randomFound(random, truth, classes);
      const overlap = new Overlap(found.map, found.classes.length, truth);
      quality.add(
        matchSegments(overlap, found.classes, truth.segments),
        found.classes,
        truth.segments,
      );
      for (const [classIndex, sum] of sums.entries()) {
        const counts = countByLoop(found.map, found.classes, truth, classIndex);
        for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += counts[key];
      }
    }
    for (const [classIndex, sum] of sums.entries()) {
      const { iouSum, ...counts } = quality.counts(classIndex);
      expect(counts).toEqual({ ...sum, iouSum: undefined });
      expect(iouSum).toBeCloseTo(sum.iouSum, 9);
      expect(sum.truePositives).toBeGreaterThan(0);
      expect(sum.falsePositives).toBeGreaterThan(0);
    }
  });

  /** One row of pixels. */
  const row = (ids: number[], segments: [id: number, classIndex: number, crowd?: boolean][]) => ({
    width: ids.length,
    height: 1,
    ids: Uint32Array.from(ids),
    segments: segments.map(([id, classIndex, crowd = false]) => ({ id, classIndex, crowd })),
  });
  const match = (map: number[], found: number[], truth: Truth) =>
    matchSegments(new Overlap(Int32Array.from(map), found.length, truth), found, truth.segments);

  it('does not match at an IoU of exactly one half', () => {
    const truth = row(
      [1, 1, 1, 1, 2, 2],
      [
        [1, 0],
        [2, 1],
      ],
    );
    const { matches, falsePositives, falseNegatives } = match([1, 1, 0, 0, 2, 2], [0, 1], truth);
    expect(matches.map(({ predicted }) => predicted)).toEqual([2]);
    expect({ falsePositives, falseNegatives }).toEqual({
      falsePositives: [1],
      falseNegatives: [0],
    });
  });

  it('leaves void out of the union, and excuses what lies mostly in void or a crowd', () => {
    const half = row([1, 1, 0, 0, 0, 0], [[1, 0]]);
    expect(match([1, 1, 1, 1, 1, 1], [0], half).matches[0]?.iou).toBe(1);
    expect(match([0, 0, 1, 1, 1, 0], [3], half).falsePositives).toEqual([]);
    const crowd = row(
      [1, 1, 1, 1, 2, 2],
      [
        [1, 0, true],
        [2, 1],
      ],
    );
    expect(match([1, 1, 1, 0, 1, 1], [0], crowd).falsePositives).toEqual([]);
    expect(match([1, 1, 1, 0, 1, 1], [1], crowd).falsePositives).toEqual([1]);
    expect(match([0, 0, 0, 0, 0, 0], [], crowd).falseNegatives).toEqual([1]);
  });

  it('averages over classes that occur or are predicted', () => {
    const quality = new PanopticQuality(3);
    const truth = row(
      [1, 1, 2, 2],
      [
        [1, 0],
        [2, 1],
      ],
    );
    quality.add(match([1, 1, 0, 0], [0], truth), [0], truth.segments);
    expect(quality.mean([0, 1, 2])).toEqual({ pq: 0.5, sq: 0.5, rq: 0.5, classes: 2 });
    expect(quality.scoreOf(2)).toBeUndefined();
    expect(quality.mean([2]).pq).toBeNaN();
  });
});

const sample = join(root, '..', 'shared', 'data', 'coco-panoptic-sample');

if (!existsSync(sample)) console.warn(`skipped: the photographs of COCO need ${sample}`);

describe.skipIf(!existsSync(sample))('the two photographs of COCO', () => {
  it('score 1 against themselves', async () => {
    const folder = temporaryFolder();
    const { mkdirSync, symlinkSync, writeFileSync } = await import('node:fs');
    mkdirSync(folder, { recursive: true });
    symlinkSync(join(sample, 'input_images'), join(folder, 'images'));
    symlinkSync(join(sample, 'panoptic_examples'), join(folder, 'panoptic'));
    const json = readFileSync(join(sample, 'panoptic_examples.json'), 'utf8');
    writeFileSync(join(folder, 'panoptic.json'), json);
    const dataset = await openDataset('coco-panoptic', folder);
    const quality = new PanopticQuality(dataset.classes.length);
    expect(dataset.length).toBe(2);
    for (let index = 0; index < 2; index++) {
      const truth = await dataset.truth(index);
      const own = truth.segments.filter(({ crowd }) => !crowd);
      const columnOf = new Map(own.map(({ id }, i) => [id, i + 1]));
      const map = Int32Array.from(truth.ids, (id) => columnOf.get(id) ?? 0);
      const found = own.map(({ classIndex }) => classIndex);
      const overlap = new Overlap(map, found.length, truth);
      quality.add(matchSegments(overlap, found, truth.segments), found, truth.segments);
    }
    expect(quality.mean(dataset.classes.keys())).toMatchObject({ pq: 1, sq: 1, rq: 1 });
  });
});
