/** LVIS: images that were searched for some classes only, against a loop, and as files. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { Scores } from '../../lib/evaluation/scores.js';
import { evaluate, labelSpace, openDataset, Segmenter } from '../../lib/index.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';
import { TINY_BUNDLE } from '../e2e/bundle-file.js';
import { drawScene } from '../fixtures/scene.js';
import {
  averagePrecision,
  count,
  draw,
  ellipse,
  NO_FACTS,
  overlap,
  type Picture,
  segmentation,
  THRESHOLDS,
  truthOf,
  verdicts,
} from './drawn-instances.js';

const FREQUENCIES = ['rare', 'common', 'frequent', 'frequent'] as const;
const CLASSES = FREQUENCIES.map((frequency, index) => ({
  ...{ index, name: `class ${index}`, synonyms: [`class ${index}`], thing: true, seen: true },
  frequency,
}));

describe('average precision of LVIS', () => {
  const random = new Random(23, 2);
  const pictures = Array.from({ length: 40 }, (_, number) => {
    const { truths, found } = draw(random, CLASSES.length);
    const real = truths.map((one) => ({ ...one, crowd: false }));
    const present = new Set(real.map(({ classIndex }) => classIndex));
    const absent = [0, 1, 2, 3].filter((one) => !present.has(one) && random.chance(0.5));
    const partial = [...present].filter(() => random.chance(0.4));
    // More than count in an image, of a class nobody looked for.
    const unknown = [0, 1, 2, 3].find((one) => !present.has(one) && !absent.includes(one));
    const dots = Array.from(
      { length: unknown !== undefined && number < 20 ? 299 : 0 },
      (_v, i) => ({
        ...{ classIndex: unknown as number, mask: ellipse(3 + (i % 140), 50, 2, 2) },
        score: 0.4 + 0.6 * random.next(),
      }),
    );
    return { truths: real, found: [...found, ...dots], coverage: { absent, partial } };
  });
  const scores = new Scores(CLASSES, false, undefined);
  for (const [index, { truths, found, coverage }] of pictures.entries()) {
    const byScore = found.toSorted((a, b) => b.score - a.score);
    const truth = { ...truthOf(truths), coverage };
    scores.add(segmentation(byScore, CLASSES), truth, { name: '', path: '', index });
  }
  const { groups } = scores.report({ ...NO_FACTS, images: pictures.length });

  /** Finds that can be told right from wrong, of a class at one threshold. */
  function judged(
    { truths, found, coverage }: Picture & { coverage: { absent: number[]; partial: number[] } },
    index: number,
    least: number,
  ) {
    const best = found.toSorted((a, b) => b.score - a.score).slice(0, 300);
    const looked = coverage.absent.includes(index) || count([{ truths, found }], index) > 0;
    const all = looked ? verdicts({ truths, found: best }, index, least, overlap) : [];
    return all.filter(({ right }) => right || !coverage.partial.includes(index));
  }
  const byLoop = CLASSES.map(({ index }) => {
    const at = (least: number): number =>
      averagePrecision(
        pictures.flatMap((picture) => judged(picture, index, least)),
        count(pictures, index),
      );
    return THRESHOLDS.reduce((sum, least) => sum + at(least), 0) / 10;
  }) as [number, number, number, number];

  it('is that of a loop, for rare, common and frequent classes', () => {
    const [rare, common, one, two] = byLoop;
    expect(groups.rare?.instance?.ap).toBeCloseTo(rare, 9);
    expect(groups.common?.instance?.ap).toBeCloseTo(common, 9);
    expect(groups.frequent?.instance?.ap).toBeCloseTo((one + two) / 2, 9);
    expect(groups.all.instance?.ap).toBeCloseTo((rare + common + one + two) / 4, 9);
    expect(Math.min(...byLoop)).toBeGreaterThan(0.05);
  });

  it('is another than that of COCO', () => {
    const whole = new Scores(CLASSES, false, undefined);
    for (const [index, { truths, found }] of pictures.entries()) {
      whole.add(segmentation(found, CLASSES), truthOf(truths), { name: '', path: '', index });
    }
    const coco = whole.report({ ...NO_FACTS, images: pictures.length }).groups.all.instance?.ap;
    expect(Math.abs((groups.all.instance?.ap ?? 0) - (coco ?? 0))).toBeGreaterThan(0.01);
  });
});

describe('the layout of LVIS', () => {
  let folder: string;
  beforeAll(() => {
    folder = temporaryFolder();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const image = {
    ...{ id: 9, width: 96, height: 64, neg_category_ids: [2], not_exhaustive_category_ids: [4] },
    coco_url: 'some.where/train2017/000000000009.jpg',
  };
  const polygon = [[10, 10, 50, 10, 50, 40, 10, 40]];
  const annotation = { id: 1, image_id: 9, category_id: 4, area: 1200, segmentation: polygon };
  const categories = [
    { id: 4, name: 'bow_(weapon)', synonyms: ['bow_(weapon)', 'long_bow'], frequency: 'r' },
    { id: 2, name: 'tree', synonyms: ['tree'], frequency: 'f' },
    { id: 3, name: 'dog', synonyms: ['dog'], frequency: 'c' },
  ];
  const write = (change: object = {}): void => {
    const json = { images: [image], annotations: [annotation], categories, ...change };
    writeFiles(folder, { 'annotations/lvis_v1_val.json': JSON.stringify(json) });
  };

  it('has words for names, and says what was looked for', async () => {
    write();
    const dataset = await openDataset('lvis', folder);
    expect(dataset.classes.map(({ name, frequency }) => [name, frequency])).toEqual([
      ['tree', 'frequent'],
      ['dog', 'common'],
      ['bow (weapon)', 'rare'],
    ]);
    expect(dataset.classes[2]?.synonyms).toEqual(['bow (weapon)', 'long bow']);
    expect(dataset.image(0)).toEqual({
      name: 'train2017/000000000009.jpg',
      path: join(folder, 'train2017/000000000009.jpg'),
    });
    const truth = await dataset.truth(0);
    expect(truth.objects?.map(({ classIndex }) => classIndex)).toEqual([2]);
    expect(truth.coverage).toEqual({ absent: [0], partial: [2] });
  });

  it('is scored, whole and in part', async () => {
    write();
    mkdirSync(join(folder, 'train2017'), { recursive: true });
    writeFileSync(join(folder, 'train2017/000000000009.jpg'), await drawScene(96, 64));
    const dataset = await openDataset('lvis', folder);
    await using segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
    const { groups } = await evaluate(segmenter, dataset, { thresholds: { instanceTopK: 300 } });
    expect(groups.rare?.classes).toBe(1);
    expect(groups.rare?.instance?.ap).toBe(groups.all.instance?.ap);
    expect(groups.frequent?.instance?.ap).toBeNaN();
    const unseen = labelSpace(segmenter, dataset, 'unseen');
    const truth = await unseen.dataset.truth(0);
    expect(unseen.dataset.classes.map(({ name }) => name)).toEqual(['bow (weapon)']);
    expect(truth.coverage).toEqual({ absent: [], partial: [0] });
  });

  const broken: [what: string, change: object, message: RegExp][] = [
    [
      'an unknown frequency',
      { categories: [{ ...categories[0], frequency: 'x' }] },
      /none of r, c/,
    ],
    [
      'an image from elsewhere',
      { images: [{ ...image, coco_url: '../a.jpg' }] },
      /no image of COCO/,
    ],
    ['no list of negatives', { images: [{ ...image, neg_category_ids: 2 }] }, /neg_.* is no list/],
    [
      'a negative that is no category',
      { images: [{ ...image, neg_category_ids: [77] }] },
      /neg_category_ids has what is no category \(77\)/,
    ],
  ];
  it.each(broken)('is refused with %s', async (_, change, message) => {
    write(change);
    const read = async () => (await openDataset('lvis', folder)).truth(0);
    await expect(read()).rejects.toMatchObject({
      code: 'ERR_DATA',
      message: expect.stringMatching(message),
    });
  });

  it('is looked for in two places', async () => {
    const lookup = openDataset('lvis', folder, 'train');
    await expect(lookup).rejects.toThrow(/looked for .*lvis_v1_train\.json.*annotations/);
  });
});
