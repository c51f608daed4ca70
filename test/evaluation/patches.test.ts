/** Single patches: the ROC against a loop, and both figures on pictures whose answer is known. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { rocOf } from '../../lib/evaluation/roc.js';
import {
  evaluate,
  evaluatePatches,
  openDataset,
  patchReportHtml,
  reportPictures,
  Segmenter,
  type Truth,
} from '../../lib/index.js';
import { lexiseg } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE, TINY_DENSE_BUNDLE } from '../e2e/bundle-file.js';

describe('roc', () => {
  it('equals a loop over pairs, ties counting half', () => {
    const random = new Random(1, 0);
    for (const [m, n] of [
      [1, 1],
      [40, 30],
      [500, 700],
    ] as const) {
      const draw = (count: number, shift: number): Float32Array =>
        Float32Array.from({ length: count }, () => random.below(20) + shift);
      const [one, other] = [draw(m, 3), draw(n, 0)];
      let sum = 0;
      for (const a of one) for (const b of other) sum += a > b ? 1 : a === b ? 0.5 : 0;
      const { auc, curve } = rocOf(one, other);
      expect(auc).toBeCloseTo(sum / (m * n), 10);
      expect(curve[0]).toEqual([0, 0]);
      expect(curve.at(-1)).toEqual([1, 1]);
      const rising = curve.every(([x, y], i) => {
        const [px, py] = curve[i - 1] ?? [0, 0];
        return x >= px && y >= py;
      });
      expect(rising).toBe(true);
    }
  });

  it('is 1 for what is told apart and 0 for what is mistaken', () => {
    expect(rocOf(Float32Array.of(3, 4), Float32Array.of(1, 2)).auc).toBe(1);
    expect(rocOf(Float32Array.of(1, 2), Float32Array.of(3, 4)).auc).toBe(0);
  });
});

describe('evaluatePatches', () => {
  let folder: string;
  let segmenter: Segmenter;
  const WORDS = ['sky', 'grass', 'brick wall'];

  /** Pictures of two colours, a class for each: half a patch is left over at the right. */
  const WIDTH = 124;
  beforeAll(async () => {
    folder = temporaryFolder();
    for (const place of ['images', 'panoptic']) mkdirSync(join(folder, place));
    const colours = ['#3a7bd5', '#2f9e44', '#a8472a'];
    const annotations: object[] = [];
    for (let i = 0; i < 6; i++) {
      const [left, right] = [i % 3, (i + 1) % 3];
      const flat = (background: string, width: number) =>
        sharp({ create: { width, height: 64, channels: 3, background } })
          .png()
          .toBuffer();
      const halves = async (one: string, two: string): Promise<Buffer> =>
        sharp(await flat(one, WIDTH))
          .composite([{ input: await flat(two, WIDTH - 64), left: 64, top: 0 }])
          .png()
          .toBuffer();
      const image = await halves(colours[left] as string, colours[right] as string);
      writeFileSync(join(folder, 'images', `${i}.png`), image);
      writeFileSync(join(folder, 'panoptic', `${i}.png`), await halves('#010000', '#020000'));
      const segment = (id: number, classIndex: number) => ({
        id,
        category_id: classIndex + 1,
        iscrowd: 0,
        area: 64 * (id === 1 ? 64 : WIDTH - 64),
        bbox: [64 * (id - 1), 0, id === 1 ? 64 : WIDTH - 64, 64],
      });
      const segments_info = [segment(1, left), segment(2, right)];
      annotations.push({ image_id: i, file_name: `${i}.png`, segments_info });
    }
    const images = annotations.map((_, id) => ({
      id,
      file_name: `${id}.png`,
      width: WIDTH,
      height: 64,
    }));
    const categories = WORDS.map((name, i) => ({ id: i + 1, name, isthing: 0 }));
    writeFileSync(
      join(folder, 'panoptic.json'),
      JSON.stringify({ images, annotations, categories }),
    );
    segmenter = await Segmenter.load(TINY_DENSE_BUNDLE, { cache: false, dtype: 'float32' });
  });
  afterAll(async () => {
    await segmenter.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds flat colours coherent, and counts every patch that is of one class', async () => {
    const dataset = await openDataset('coco-panoptic', folder);
    const report = await evaluatePatches(segmenter, dataset, { pairs: 4_000, purity: 0.9 });
    // A grid of 8 x 15 patches of 8 pixels each, six pictures.
    expect(report).toMatchObject({ images: 6, patches: 6 * 8 * 15 });
    expect(report.weights).toMatch(/random/);
    expect(patchReportHtml(report)).toContain(report.weights);
    expect(report.vocabulary).toMatch(/^names of /);
    expect(report.coherence.auc).toBeGreaterThan(0.9);
    expect(report.coherence.pairs).toBe(4_000);
    const { all, seen, unseen } = report.accuracy;
    expect(all).toBe(Number.isNaN(seen) ? unseen : all);
    expect(all).toBeGreaterThanOrEqual(0);
    expect(all).toBeLessThanOrEqual(1);
    const again = await evaluatePatches(segmenter, dataset, { pairs: 4_000, purity: 0.9 });
    expect(again).toEqual(report);
    // What is left over is in no patch, nor in the first of the next row.
    const { patches } = await evaluatePatches(segmenter, dataset, { pairs: 100, purity: 0.5 });
    expect(patches).toBe(report.patches);
  });

  it.each([
    ['most of it', 61, 8],
    ['nothing, where two have as much', 60, 7],
  ])('gives a patch the class of %s', async (_, edge, counted) => {
    const dataset = await openDataset('coco-panoptic', folder);
    // The eighth column of patches lies across the edge.
    const moved = async (index: number): Promise<Truth> => {
      const truth = await dataset.truth(index);
      return { ...truth, ids: truth.ids.map((_, at) => (at % WIDTH < edge ? 1 : 2)) };
    };
    const report = await evaluatePatches(
      segmenter,
      { ...dataset, truth: moved },
      { pairs: 100, purity: 0.3 },
    );
    expect(report.patches).toBe(6 * 8 * (7 + counted));
  });

  it('has neither words nor patches for the background', async () => {
    const dataset = await openDataset('coco-panoptic', folder);
    const classes = dataset.classes.map((one, i) =>
      i === 0 ? { ...one, name: 'background' } : { ...one, seen: i === 1 },
    );
    // The first of equal words is the best: one for the background would take every patch.
    const { accuracy, patches } = await evaluatePatches(
      segmenter,
      { ...dataset, classes },
      { pairs: 100, purity: 0.9, vocabulary: ['sky', 'sky', 'sky'] },
    );
    expect(patches).toBe((6 * 8 * 15 * 2) / 3);
    expect(accuracy).toEqual({ all: 0.5, seen: 1, unseen: 0 });
  });

  it('gives a patch the word that fits it best', async () => {
    const picture = join(folder, 'images', '0.png');
    const { rows, columns, embeddings, tokens } = await segmenter.encodePatches(picture);
    expect([rows, columns]).toEqual([8, 15]);
    const width = segmenter.manifest.embeddingDim;
    expect(embeddings.length).toBe(rows * columns * width);
    expect(tokens.length % (rows * columns)).toBe(0);
    const norm = Math.hypot(...embeddings.subarray(0, width));
    expect(norm).toBeCloseTo(1, 4);
  });

  it('needs a bundle with patches, and data with two of a kind', async () => {
    const masks = await Segmenter.load(TINY_BUNDLE, { cache: false });
    const dataset = await openDataset('coco-panoptic', folder);
    await expect(evaluatePatches(masks, dataset)).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
    });
    await masks.dispose();
    const few = evaluatePatches(segmenter, dataset, { limit: 1 });
    await expect(few).rejects.toMatchObject({ code: 'ERR_DATA' });
    await expect(evaluatePatches(segmenter, dataset, { purity: 0 })).rejects.toThrow('purity');
  });

  it('evaluate calls what has no label background, where that is asked for', async () => {
    const dataset = await openDataset('coco-panoptic', folder);
    const classes = dataset.classes.map((one, i) =>
      i === 1 ? { ...one, name: 'background' } : one,
    );
    const voc = { ...dataset, classes };
    const options = { tasks: ['semantic'], background: 'unlabelled' } as const;
    // Nothing is that sure, so every pixel is background, which a third of them is.
    const unsure = await evaluate(segmenter, voc, { ...options, thresholds: { entropy: 0 } });
    expect(unsure.pixelAccuracy).toBeCloseTo(1 / 3, 6);
    expect(unsure.perClass.map(({ iou }) => iou)).toEqual([0, expect.closeTo(1 / 3, 6), 0]);
    const sure = await evaluate(segmenter, voc, { ...options, thresholds: { entropy: 0.7 } });
    expect(sure.perClass.map(({ name }) => name)).toEqual(classes.map(({ name }) => name));
    expect(sure.perClass[1]?.iou).toBe(0);
    await expect(evaluate(segmenter, dataset, options)).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
    });
    const masks = await Segmenter.load(TINY_BUNDLE, { cache: false });
    await expect(evaluate(masks, voc, options)).rejects.toThrow(/bundles that score places/);
    await masks.dispose();
  });

  it('evaluate finds background without being told a threshold', async () => {
    const dataset = await openDataset('coco-panoptic', folder);
    const classes = [...dataset.classes, { name: 'background', synonyms: [], thing: false }];
    const voc = { ...dataset, classes };
    const options = { tasks: ['semantic'], background: 'unlabelled' } as const;
    // Published for 20 classes: 1.5 nats.
    const published = (1.5 * Math.log(WORDS.length)) / Math.log(20);
    const at = async (thresholds: { entropy?: number }) => {
      const { groups, perClass } = await evaluate(segmenter, voc, { ...options, thresholds });
      return { groups, perClass };
    };
    const usual = await at({});
    expect(usual).toEqual(await at({ entropy: published }));
    expect(usual).not.toEqual(await at({ entropy: Math.log(WORDS.length) + 0.01 }));
    // The pictures of a report are of what was scored: where all is background, nothing is drawn over.
    const report = await evaluate(segmenter, voc, { ...options, thresholds: { entropy: 0 } });
    const drawn = async (entropy: number) =>
      (await reportPictures(segmenter, voc, report, { ...options, thresholds: { entropy } }))[0];
    expect((await drawn(0))?.found).not.toBe((await drawn(Math.log(9)))?.found);
    const none = reportPictures(segmenter, dataset, report, { background: 'unlabelled' });
    await expect(none).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
  });

  it('is a command', async () => {
    const data = ['--dataset', 'coco-panoptic', '--data', folder, '--pairs', '1000', '--no-cache'];
    const out = join(folder, 'report');
    const { status, stdout } = await lexiseg(['patches', TINY_DENSE_BUNDLE, ...data, '--out', out]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/semantic coherence \(AUC\)\s+(0\.9|1\.0)/);
  }, 60_000);
});
