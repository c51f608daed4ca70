/** COCO's average precision: the published answer, and cases that can be told by hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Fields } from '../../lib/data/annotation-file.js';
import { readMask } from '../../lib/data/coco-mask.js';
import { JsonPlaces } from '../../lib/data/json-place.js';
import {
  AveragePrecision,
  type Detection,
  type PrecisionScore,
  type ShapeIou,
  type TrueObject,
} from '../../lib/evaluation/average-precision.js';
import { boxIou, runArea, runIou } from '../../lib/evaluation/run-lengths.js';
import { root } from '../cli/command.js';

const golden = join(root, '..', 'shared', 'data', 'coco-ap-golden');
const read = (name: string) => JSON.parse(readFileSync(join(golden, name), 'utf8'));

interface Annotation {
  image_id: number;
  category_id: number;
  area: number;
  iscrowd: number;
  bbox: number[];
  score: number;
}

function scoreOf<Shape>(
  iou: ShapeIou<Shape>,
  truthOf: (annotation: Annotation) => TrueObject<Shape>,
  foundOf: (annotation: Annotation) => Detection<Shape>,
  results: string,
): PrecisionScore {
  const truth = read('instances_val2014_100.json');
  const group = (annotations: Annotation[]): Map<string, Annotation[]> => {
    const groups = new Map<string, Annotation[]>();
    for (const one of annotations) {
      const key = `${one.image_id} ${one.category_id}`;
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    return groups;
  };
  const precision = new AveragePrecision<Shape>(iou);
  const truths = group(truth.annotations);
  const found = group(read(results));
  const classes: number[] = truth.categories.map(({ id }: { id: number }) => id);
  const images: number[] = truth.images.map(({ id }: { id: number }) => id);
  for (const image of images.sort((a, b) => a - b)) {
    for (const classIndex of classes) {
      const key = `${image} ${classIndex}`;
      const detections = (found.get(key) ?? []).map(foundOf);
      precision.add(classIndex, detections, (truths.get(key) ?? []).map(truthOf));
    }
  }
  return precision.mean(classes);
}

if (!existsSync(golden)) console.warn(`skipped: the published answer needs ${golden}`);

describe.skipIf(!existsSync(golden))('the published answer on 100 images', () => {
  it('is reached for boxes', () => {
    const score = scoreOf<readonly number[]>(
      boxIou,
      ({ bbox, area, iscrowd }) => ({ shape: bbox, area, crowd: iscrowd === 1 }),
      ({ bbox, score: s }) => ({
        shape: bbox,
        score: s,
        area: (bbox[2] as number) * (bbox[3] as number),
      }),
      'instances_val2014_fakebbox100_results.json',
    );
    expect(score.ap).toBeCloseTo(0.5045806987, 9);
    expect(score.ap50).toBeCloseTo(0.6969727247, 9);
  });

  it('is reached for masks', () => {
    const sizes = new Map<number, { width: number; height: number }>(
      read('instances_val2014_100.json').images.map(
        (one: { id: number; width: number; height: number }) => [one.id, one],
      ),
    );
    const runs = (annotation: Annotation): Uint32Array => {
      const { width, height } = sizes.get(annotation.image_id) as { width: number; height: number };
      return readMask(new Fields(new JsonPlaces('golden'), '', annotation), width, height);
    };
    const score = scoreOf<Uint32Array>(
      runIou,
      (one) => ({ shape: runs(one), area: one.area, crowd: one.iscrowd === 1 }),
      (one) => ({ shape: runs(one), score: one.score, area: runArea(runs(one)) }),
      'instances_val2014_fakesegm100_results.json',
    );
    expect(score.ap).toBeCloseTo(0.3195452759, 9);
    expect(score.ap50).toBeCloseTo(0.5622883973, 9);
  });
});

describe('average precision', () => {
  const box = (x: number, side = 10) => [x, 0, side, side];
  const found = (x: number, score: number, side = 10) => ({
    shape: box(x, side),
    score,
    area: side * side,
  });
  const real = (x: number, crowd = false, side = 10) => ({
    shape: box(x, side),
    area: side * side,
    crowd,
  });
  const of = (detections: Detection<number[]>[], truths: TrueObject<number[]>[]) => {
    const precision = new AveragePrecision<readonly number[]>(boxIou);
    precision.add(0, detections, truths);
    return precision.scoreOf(0);
  };

  it('is 1 for what is found exactly, and counts a second find as wrong', () => {
    expect(of([found(0, 0.9)], [real(0)]).ap).toBeCloseTo(1, 9);
    expect(of([found(0, 0.9), found(0, 0.8)], [real(0)]).ap).toBeCloseTo(1, 9);
    expect(of([found(50, 0.9), found(0, 0.8)], [real(0)]).ap).toBeCloseTo(0.5, 9);
  });

  it('is the recall reached where all finds are right', () => {
    expect(of([found(0, 0.9)], [real(0), real(50)]).ap).toBeCloseTo(51 / 101, 9);
  });

  it('ignores finds in a crowd, any number of them', () => {
    const score = of(
      [found(0, 0.9), found(52, 0.8), found(54, 0.7)],
      [real(0), real(50, true, 20)],
    );
    expect(score.ap).toBeCloseTo(1, 9);
  });

  it('is NaN without a true object, and parts by area', () => {
    expect(of([found(0, 0.9)], []).ap).toBeNaN();
    const small = of([found(0, 0.9)], [real(0)]);
    expect(small.apSmall).toBeCloseTo(1, 9);
    expect(small.apLarge).toBeNaN();
  });

  it('takes the hundred best of an image', () => {
    const wrong = Array.from({ length: 100 }, (_, i) => found(500 + 20 * i, 0.9));
    expect(of([...wrong, found(0, 0.1)], [real(0)]).ap).toBe(0);
    expect(of([...wrong.slice(1), found(0, 0.1)], [real(0)]).ap).toBeGreaterThan(0);
  });
});
