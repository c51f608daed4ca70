/** Panoptic quality against a pixel loop, and the cases where the definition is easily missed. */
import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readIdMap } from '../../lib/data/id-map.js';
import { Random } from '../../lib/data/random.js';
import { Overlap } from '../../lib/evaluation/overlap.js';
import { matchSegments, PanopticQuality } from '../../lib/evaluation/panoptic-quality.js';
import { openDataset, type SegmentationDataset, type Truth } from '../../lib/index.js';
import { native } from '../../lib/native.js';
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
  const folder = temporaryFolder();
  afterAll(() => rmSync(folder, { recursive: true }));
  const place = (name: string, as: string) => symlinkSync(join(sample, name), join(folder, as));
  let dataset: SegmentationDataset;
  beforeAll(async () => {
    place('input_images', 'images');
    place('panoptic_examples', 'panoptic');
    place('panoptic_examples.json', 'panoptic.json');
    place('panoptic_coco_detection_format.json', 'instances.json');
    dataset = await openDataset('coco-panoptic', folder);
  });

  /** Every segment as its class and its pixels, in an order that only these decide. */
  const segmentsOf = ({ ids, segments, width, height }: Truth): string[] =>
    segments
      .map(({ id, classIndex }) => {
        const mask = Uint8Array.from(ids, (one) => (one === id ? 1 : 0));
        return `${classIndex}: ${native().rleEncode(mask, width, height)}`;
      })
      .sort();

  it('are the same segments in the detection form', async () => {
    const detections = await openDataset('coco-instance', folder);
    const namesOf = ({ classes }: SegmentationDataset): string[] => classes.map(({ name }) => name);
    expect(namesOf(detections)).toEqual(namesOf(dataset));
    expect(detections.length).toBe(2);
    for (const index of [0, 1]) {
      const { objects = [] } = await detections.truth(index);
      const own = objects.map(({ classIndex, runs }) => `${classIndex}: ${runs}`).sort();
      expect(detections.image(index)).toEqual(dataset.image(index));
      expect(own).toEqual(segmentsOf(await dataset.truth(index)));
    }
  });

  it('are the same segments in the form of two channels', async () => {
    const { categories } = JSON.parse(readFileSync(join(folder, 'panoptic.json'), 'utf8'));
    const indexOf = new Map<number, number>(
      categories
        .map(({ id }: { id: number }) => id)
        .sort((a: number, b: number) => a - b)
        .map((id: number, index: number) => [id, index]),
    );
    for (const index of [0, 1]) {
      // Red is the category, green counts the segments of one; void is black.
      const name = dataset.image(index).name.replace('.jpg', '.png');
      const { ids, ...size } = await readIdMap(join(sample, 'panoptic_examples_2ch_format', name));
      const segments = [...new Set(ids)]
        .filter((id) => id !== 0)
        .map((id) => {
          expect(id).toBeLessThan(1 << 16);
          return { id, classIndex: indexOf.get(id & 255) as number, crowd: false };
        });
      const same = segmentsOf({ ...size, ids, segments });
      expect(same.length).toBeGreaterThan(10);
      expect(same).toEqual(segmentsOf(await dataset.truth(index)));
    }
  });

  it('score 1 against themselves', async () => {
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
