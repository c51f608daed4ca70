/** Scores of objects, by masks and by boundaries, against loops over pixels. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { boundaryWidth } from '../../lib/evaluation/boundary.js';
import { Scores } from '../../lib/evaluation/scores.js';
import type { Truth } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import { InstanceSegmentation } from '../../lib/results/instance.js';
import { erode } from './erosion-by-loop.js';

const [WIDTH, HEIGHT] = [150, 110];
const CLASSES = ['cat', 'dog'].map((name, index) => ({
  index,
  name,
  synonyms: [name],
  thing: true,
  seen: index === 0,
}));

interface Drawn {
  readonly classIndex: number;
  readonly mask: Uint8Array;
}
interface Picture {
  readonly truths: readonly (Drawn & { readonly crowd: boolean })[];
  readonly found: readonly (Drawn & { readonly score: number })[];
}

/** An ellipse, row-major. */
function ellipse(x: number, y: number, a: number, b: number): Uint8Array {
  return Uint8Array.from({ length: WIDTH * HEIGHT }, (_, at) => {
    const [dx, dy] = [((at % WIDTH) - x) / a, (Math.floor(at / WIDTH) - y) / b];
    return dx * dx + dy * dy <= 1 ? 1 : 0;
  });
}

/** Objects over each other, most of them found about where they are, some twice, some as another. */
function draw(random: Random): Picture {
  const truths: Picture['truths'][number][] = [];
  const found: Picture['found'][number][] = [];
  for (let i = 1 + random.below(5); i > 0; i--) {
    const classIndex = random.below(2);
    const [x, y] = [random.between(10, WIDTH - 10), random.between(10, HEIGHT - 10)];
    const [a, b] = [random.between(8, 40), random.between(8, 40)];
    truths.push({ classIndex, mask: ellipse(x, y, a, b), crowd: random.chance(0.15) });
    for (let finds = random.below(3); finds > 0; finds--) {
      const off = (): number => random.between(-3, 3);
      const mask = ellipse(x + off(), y + off(), a + off(), b + off());
      const named = random.chance(0.85) ? classIndex : 1 - classIndex;
      found.push({ classIndex: named, mask, score: random.next() });
    }
  }
  return { truths, found };
}

const areaOf = (mask: Uint8Array): number => mask.reduce((sum, inside) => sum + inside, 0);
const runsOf = (mask: Uint8Array): Uint32Array => native().rleEncode(mask, WIDTH, HEIGHT);

/** As the addon would give it. */
function segmentation(found: Picture['found']): InstanceSegmentation {
  const runs = found.map(({ mask }) => runsOf(mask));
  const offsets = [0];
  for (const { length } of runs) offsets.push((offsets.at(-1) as number) + length);
  const arrays = {
    counts: Uint32Array.from(runs.flatMap((one) => [...one])),
    offsets: Uint32Array.from(offsets),
    classes: Int32Array.from(found, ({ classIndex }) => classIndex),
    scores: Float32Array.from(found, ({ score }) => score),
    areas: Int32Array.from(found, ({ mask }) => areaOf(mask)),
    boxes: new Int32Array(4 * found.length),
  };
  const image = { rgb: new Uint8Array(3 * WIDTH * HEIGHT), width: WIDTH, height: HEIGHT };
  const bundle = { name: '', method: '', weights: 'random', sha256: '', label: '' } as const;
  const parts = { width: WIDTH, height: HEIGHT, classes: CLASSES, bundle, image };
  return new InstanceSegmentation(parts, arrays, 0);
}

function truthOf(truths: Picture['truths']): Truth {
  const objects = truths.map(({ classIndex, mask, crowd }) => {
    return { classIndex, crowd, runs: runsOf(mask), area: areaOf(mask) };
  });
  const ids = new Uint32Array(WIDTH * HEIGHT);
  return { width: WIDTH, height: HEIGHT, ids, segments: [], objects };
}

function overlap(a: Uint8Array, b: Uint8Array, crowd: boolean): number {
  let [both, either] = [0, 0];
  for (let at = 0; at < a.length; at++) {
    if (a[at] === 1 && b[at] === 1) both++;
    if (a[at] === 1 || (b[at] === 1 && !crowd)) either++;
  }
  return either === 0 ? 0 : both / either;
}

function edge(mask: Uint8Array): Uint8Array {
  const inner = erode(mask, WIDTH, HEIGHT, boundaryWidth(WIDTH, HEIGHT));
  return mask.map((inside, at) => inside & (1 - (inner[at] as number)));
}

type Iou = (found: Uint8Array, truth: Uint8Array, crowd: boolean) => number;
const byMasks: Iou = overlap;
const byBoundaries: Iou = (found, truth, crowd) =>
  crowd
    ? overlap(found, truth, true)
    : Math.min(overlap(found, truth, false), overlap(edge(found), edge(truth), false));

/** Verdicts on the finds of one picture and class at one threshold, best scores first. */
function verdicts({ truths, found }: Picture, classIndex: number, least: number, iou: Iou) {
  const real = truths.filter((one) => one.classIndex === classIndex);
  const taken = new Set<object>();
  return found
    .filter((one) => one.classIndex === classIndex)
    .sort((a, b) => b.score - a.score)
    .flatMap(({ mask, score }) => {
      const ious = real.map((one) => ({ one, iou: iou(mask, one.mask, one.crowd) }));
      const enough = ious.filter((pair) => pair.iou >= least).sort((a, b) => b.iou - a.iou);
      const match = enough.find(({ one }) => !one.crowd && !taken.has(one));
      if (match !== undefined) taken.add(match.one);
      const excused = match === undefined && enough.some(({ one }) => one.crowd);
      return excused ? [] : [{ score, right: match !== undefined }];
    });
}

const count = (pictures: readonly Picture[], classIndex: number): number =>
  pictures.flatMap(({ truths }) =>
    truths.filter((one) => one.classIndex === classIndex && !one.crowd),
  ).length;

/** The mean over recall points of the best precision at that recall or a higher one. */
function averagePrecision(
  pictures: readonly Picture[],
  classIndex: number,
  least: number,
  iou: Iou,
): number {
  const all = pictures.flatMap((picture) => verdicts(picture, classIndex, least, iou));
  all.sort((a, b) => b.score - a.score);
  const truths = count(pictures, classIndex);
  const curve = all.map((_, last) => {
    const right = all.slice(0, last + 1).filter((one) => one.right).length;
    return { recall: right / truths, precision: right / (last + 1) };
  });
  let sum = 0;
  for (let point = 0; point <= 100; point++) {
    const reached = curve.filter(({ recall }) => recall >= point * 0.01);
    sum += Math.max(0, ...reached.map(({ precision }) => precision));
  }
  return sum / 101;
}

describe('scores of objects', () => {
  const random = new Random(11, 4);
  const pictures = Array.from({ length: 25 }, () => draw(random));
  const scores = new Scores(CLASSES, true, undefined);
  for (const [index, { truths, found }] of pictures.entries()) {
    const name = `picture ${index}`;
    scores.add(segmentation(found), truthOf(truths), { name, path: name, index });
  }
  const facts = { bundle: '', weights: '', dataset: '', vocabulary: '', wordsSha256: '' };
  const seconds = { inference: 0, scoring: 0 };
  const report = scores.report({ ...facts, images: pictures.length, seconds });

  it.each([
    ['instance', byMasks],
    ['boundaryInstance', byBoundaries],
  ] as const)('%s precision is that of a loop', (key, iou) => {
    const at = (least: number): number =>
      CLASSES.reduce((sum, { index }) => sum + averagePrecision(pictures, index, least, iou), 0) /
      2;
    const found = report.groups.all[key];
    const thresholds = Array.from({ length: 10 }, (_, i) => 0.5 + i * 0.05);
    const mean = thresholds.reduce((sum, least) => sum + at(least), 0) / 10;
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
