/** Pictures of objects that overlap, what might be found in them, and their scores by loops. */
import type { Random } from '../../lib/data/random.js';
import type { Truth } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import { InstanceSegmentation } from '../../lib/results/instance.js';
import type { VocabularyClass } from '../../lib/text/classes.js';

export const [WIDTH, HEIGHT] = [150, 110];
interface Drawn {
  readonly classIndex: number;
  readonly mask: Uint8Array;
}
export interface Picture {
  readonly truths: readonly (Drawn & { readonly crowd: boolean })[];
  readonly found: readonly (Drawn & { readonly score: number })[];
}

/** An ellipse, row-major. */
export function ellipse(x: number, y: number, a: number, b: number): Uint8Array {
  return Uint8Array.from({ length: WIDTH * HEIGHT }, (_, at) => {
    const [dx, dy] = [((at % WIDTH) - x) / a, (Math.floor(at / WIDTH) - y) / b];
    return dx * dx + dy * dy <= 1 ? 1 : 0;
  });
}

/** Objects over each other, most of them found about where they are, some twice, some as another. */
export function draw(random: Random, classes: number): Picture {
  const truths: Picture['truths'][number][] = [];
  const found: Picture['found'][number][] = [];
  for (let i = 1 + random.below(5); i > 0; i--) {
    const classIndex = random.below(classes);
    const [x, y] = [random.between(10, WIDTH - 10), random.between(10, HEIGHT - 10)];
    const [a, b] = [random.between(8, 40), random.between(8, 40)];
    truths.push({ classIndex, mask: ellipse(x, y, a, b), crowd: random.chance(0.15) });
    for (let finds = random.below(3); finds > 0; finds--) {
      const off = (): number => random.between(-3, 3);
      const mask = ellipse(x + off(), y + off(), a + off(), b + off());
      const named = random.chance(0.85) ? classIndex : random.below(classes);
      found.push({ classIndex: named, mask, score: random.next() });
    }
  }
  return { truths, found };
}

const areaOf = (mask: Uint8Array): number => mask.reduce((sum, inside) => sum + inside, 0);
const runsOf = (mask: Uint8Array): Uint32Array => native().rleEncode(mask, WIDTH, HEIGHT);

/** As the addon would give it. */
export function segmentation(
  found: Picture['found'],
  classes: readonly VocabularyClass[],
): InstanceSegmentation {
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
  const parts = { width: WIDTH, height: HEIGHT, classes, bundle, image };
  return new InstanceSegmentation(parts, arrays, 0);
}

export function truthOf(truths: Picture['truths']): Truth {
  const objects = truths.map(({ classIndex, mask, crowd }) => {
    return { classIndex, crowd, runs: runsOf(mask), area: areaOf(mask) };
  });
  const ids = new Uint32Array(WIDTH * HEIGHT);
  return { width: WIDTH, height: HEIGHT, ids, segments: [], objects };
}

/** IoU by counting pixels; of a crowd, the share of the find that lies in it. */
export function overlap(a: Uint8Array, b: Uint8Array, crowd: boolean): number {
  let [both, either] = [0, 0];
  for (let at = 0; at < a.length; at++) {
    if (a[at] === 1 && b[at] === 1) both++;
    if (a[at] === 1 || (b[at] === 1 && !crowd)) either++;
  }
  return either === 0 ? 0 : both / either;
}

export type Iou = (found: Uint8Array, truth: Uint8Array, crowd: boolean) => number;

export interface Verdict {
  readonly score: number;
  readonly right: boolean;
}

/** Verdicts on the finds of one picture and class at one threshold, best scores first. */
export function verdicts(
  { truths, found }: Picture,
  classIndex: number,
  least: number,
  iou: Iou,
): Verdict[] {
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

/** The mean over recall points of the best precision at that recall or a higher one. */
export function averagePrecision(finds: readonly Verdict[], truths: number): number {
  const all = finds.toSorted((a, b) => b.score - a.score);
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

/** True objects of a class that are no crowd. */
export const count = (pictures: readonly Picture[], classIndex: number): number =>
  pictures.flatMap(({ truths }) =>
    truths.filter((one) => one.classIndex === classIndex && !one.crowd),
  ).length;

/** COCO's thresholds. */
export const THRESHOLDS: readonly number[] = Array.from({ length: 10 }, (_, i) => 0.5 + i * 0.05);

/** What a report says of itself, where nobody looks. */
export const NO_FACTS = {
  ...{ bundle: '', weights: '', dataset: '', vocabulary: '', wordsSha256: '' },
  seconds: { inference: 0, scoring: 0 },
};
