/** Bundles that score places and not masks, with the tiny one (random weights). */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  evaluate,
  HeatMap,
  openDataset,
  reportPictures,
  Segmenter,
  Tensor,
  Trainer,
  type Vocabulary,
} from '../../lib/index.js';
import { lexiseg } from '../cli/command.js';
import { drawScenes } from '../cli/drawn-scenes.js';
import { temporaryFolder } from '../cli/places.js';
import { drawScene } from '../fixtures/scene.js';
import { SCENE_CLASSES, TINY_BUNDLE, TINY_DENSE_BUNDLE } from './bundle-file.js';

let segmenter: Segmenter;
let vocabulary: Vocabulary;
let picture: Buffer;

beforeAll(async () => {
  segmenter = await Segmenter.load(TINY_DENSE_BUNDLE, { cache: false, dtype: 'float32' });
  vocabulary = await segmenter.createVocabulary(SCENE_CLASSES);
  picture = await drawScene(240, 160);
});
afterAll(() => segmenter.dispose());

async function refusal(work: Promise<unknown>): Promise<Error & { code?: string }> {
  const reason = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(reason).toBeInstanceOf(Error);
  return reason as Error & { code?: string };
}

describe('segment', () => {
  it('gives a class and its probability for every pixel', async () => {
    using result = await segmenter.segment(picture, vocabulary, { task: 'semantic' });
    expect(result).toMatchObject({ task: 'semantic', width: 240, height: 160 });
    expect(result.labelMap.every((label) => label >= 0 && label < SCENE_CLASSES.length)).toBe(true);
    const least = 1 / SCENE_CLASSES.length - 1e-6;
    expect(result.scoreMap.every((score) => score >= least && score <= 1)).toBe(true);
    expect(result.segments.reduce((sum, { area }) => sum + area, 0)).toBe(240 * 160);
  });

  it('looks more closely at a larger input', async () => {
    const options = { cache: false, dtype: 'float32', shortestEdge: 96 } as const;
    const close = await Segmenter.load(TINY_DENSE_BUNDLE, options);
    const { rows, columns } = await segmenter.encodePatches(picture);
    const finer = await close.encodePatches(picture);
    expect([rows, columns]).toEqual([8, 12]);
    // The cap on the longer edge grows as the shorter edge does.
    expect([finer.rows, finer.columns]).toEqual([12, 18]);
    await close.dispose();
    const capped = await Segmenter.load(TINY_DENSE_BUNDLE, { ...options, longestEdge: 120 });
    const fewer = await capped.encodePatches(picture);
    expect([fewer.rows, fewer.columns]).toEqual([10, 15]);
    await capped.dispose();
    const wrong = Segmenter.load(TINY_DENSE_BUNDLE, { shortestEdge: 3 });
    await expect(wrong).rejects.toThrow('options.shortestEdge');
    const crossed = Segmenter.load(TINY_DENSE_BUNDLE, { shortestEdge: 96, longestEdge: 95 });
    await expect(crossed).rejects.toThrow('options.longestEdge');
    const { shortestEdge } = segmenter.manifest.image.sizeRule;
    const least = await Segmenter.load(TINY_DENSE_BUNDLE, { longestEdge: shortestEdge });
    await least.dispose();
    // Below the bundle's own shorter edge, though it was not named.
    const below = Segmenter.load(TINY_DENSE_BUNDLE, { longestEdge: shortestEdge - 1 });
    const message = `at least the shorter edge's ${shortestEdge} for options.longestEdge`;
    await expect(below).rejects.toThrow(message);
    await expect(below).rejects.toBeInstanceOf(RangeError);
  });

  it('leaves pixels without a class where the network is unsure', async () => {
    const most = Math.log(SCENE_CLASSES.length);
    const covered = async (entropy: number): Promise<number> => {
      const options = { task: 'semantic', thresholds: { entropy } } as const;
      using result = await segmenter.segment(picture, vocabulary, options);
      const labelled = result.labelMap.filter((label) => label >= 0).length;
      expect(result.segments.reduce((sum, { area }) => sum + area, 0)).toBe(labelled);
      expect((await sharp(await result.toOverlay()).metadata()).format).toBe('png');
      return labelled;
    };
    expect(await covered(0)).toBe(0);
    const [some, more] = [await covered(0.98 * most), await covered(0.995 * most)];
    expect(some).toBeLessThan(more);
    expect(await covered(most + 0.01)).toBe(240 * 160);
  });

  it('gives the same for images alone and in batches, of many sizes', async () => {
    const images = await Promise.all(
      [
        [240, 160],
        [64, 200],
        [240, 160],
        [1, 1],
        [3, 300],
      ].map(([w = 1, h = 1]) => drawScene(w, h)),
    );
    const options = { task: 'semantic', batchSize: 2 } as const;
    const together = await segmenter.segment(images, vocabulary, options);
    for (const [i, image] of images.entries()) {
      using alone = await segmenter.segment(image, vocabulary, { task: 'semantic' });
      const other = together[i]?.labelMap as Int32Array;
      const equal = alone.labelMap.filter((label, at) => label === other[at]).length;
      expect(equal / other.length).toBeGreaterThan(0.998);
      together[i]?.dispose();
    }
  });

  it('refuses what only bundles with masks can do', async () => {
    expect(await refusal(segmenter.segment(picture, vocabulary))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: 'The bundle cannot do panoptic segmentation; it does semantic',
    });
    const thresholds = { overlap: 0.5 };
    const misused = segmenter.segment(picture, vocabulary, { task: 'semantic', thresholds });
    expect((await refusal(misused)).message).toMatch(/overlap/);
    expect(await refusal(segmenter.proposeMasks(picture))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
    });
    const entropy = segmenter.segment(picture, vocabulary, {
      task: 'semantic',
      thresholds: { entropy: -1 },
    });
    expect((await refusal(entropy)).message).toMatch(/options\.thresholds\.entropy/);
  });
});

describe('heatMaps', () => {
  it('gives a cosine for every pixel and class, and a picture', async () => {
    const maps = await segmenter.heatMaps(picture, vocabulary);
    expect(maps.map(({ text }) => text)).toEqual(vocabulary.classes.map(({ name }) => name));
    for (const map of maps) {
      expect(map).toBeInstanceOf(HeatMap);
      expect(map.values).toHaveLength(240 * 160);
      expect(map.least).toBeGreaterThanOrEqual(-1.00001);
      expect(map.most).toBeLessThanOrEqual(1.00001);
      expect(map.least).toBeLessThan(map.most);
    }
    const [map] = maps as [HeatMap];
    const bare = await sharp(await map.toPicture({ legend: false })).metadata();
    expect(bare).toMatchObject({ format: 'png', width: 240, height: 160 });
    const whole = await sharp(await map.toPicture({ range: [-1, 1], opacity: 1 })).metadata();
    expect(whole.width).toBe(240);
    expect(whole.height).toBeGreaterThan(160);
    await expect(map.toPicture({ range: [1, 0] })).rejects.toThrow(/options\.range/);
    const controller = new AbortController();
    const drawn = map.toPicture({ signal: controller.signal });
    controller.abort();
    await expect(drawn).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  it('are refused where all of them together would fill the memory', async () => {
    const [width, height] = [4000, 3000];
    const image = { data: new Uint8Array(3 * width * height), width, height };
    const words = Array.from({ length: 100 }, (_, index) => `word ${index}`);
    using many = await segmenter.createVocabulary(words);
    const error = await refusal(segmenter.heatMaps(image, many));
    expect(error).toMatchObject({
      code: 'ERR_OUT_OF_MEMORY',
      message: expect.stringContaining('100 heat maps of 4000 × 3000 pixels'),
    });
  });

  it('has the class of a semantic result where its cosine leads', async () => {
    const maps = await segmenter.heatMaps(picture, vocabulary);
    using result = await segmenter.segment(picture, vocabulary, { task: 'semantic' });
    let equal = 0;
    result.labelMap.forEach((label, at) => {
      const values = maps.map((map) => map.values[at] as number);
      if (values.indexOf(Math.max(...values)) === label) equal++;
    });
    // A label map goes through the network's own pixels, a heat map straight to the image's.
    expect(equal / result.labelMap.length).toBeGreaterThan(0.99);
  });

  it('takes the best of synonyms', async () => {
    using three = await segmenter.createVocabulary(['dog', 'puppy', 'dog|puppy'], {
      duplicates: 'keep',
    });
    const [dog, puppy, both] = (await segmenter.heatMaps(picture, three)) as [
      HeatMap,
      HeatMap,
      HeatMap,
    ];
    for (let at = 0; at < both.values.length; at += 97) {
      const best = Math.max(dog.values[at] as number, puppy.values[at] as number);
      expect(both.values[at] as number).toBeGreaterThanOrEqual(best - 1e-5);
    }
  });

  it('is refused by bundles without places', async () => {
    await using other = await Segmenter.load(TINY_BUNDLE, { cache: false });
    using words = await other.createVocabulary(['dog']);
    expect(await refusal(other.heatMaps(picture, words))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
    });
    expect(await refusal(segmenter.heatMaps(picture, words))).toMatchObject({
      code: 'ERR_ARGUMENT',
    });
  });
});

describe('classifyImages', () => {
  it('gives probabilities over the vocabulary', async () => {
    const images = [picture, await drawScene(64, 64), picture];
    const results = await segmenter.classifyImages(images, vocabulary, { batchSize: 2 });
    expect(results).toHaveLength(3);
    for (const { probabilities, best, ...result } of results) {
      expect(probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
      expect(best.probability).toBeCloseTo(Math.max(...probabilities), 6);
      expect(result.classes).toHaveLength(SCENE_CLASSES.length);
    }
    const [first, , third] = results;
    expect(third?.ranked(2)).toEqual(first?.ranked(2));
    expect(first?.ranked(100)).toHaveLength(SCENE_CLASSES.length);
    expect(await refusal(segmenter.classifyImages([], vocabulary))).toBeInstanceOf(TypeError);
  });

  it('like encodeImages, reads every image as it is at the call', async () => {
    const copies = () => [Buffer.from(picture), Buffer.from(picture), Buffer.from(picture)];
    const spoilt = <Result>(call: (images: Buffer[]) => Promise<Result>): Promise<Result> => {
      const images = copies();
      const result = call(images);
      for (const image of images) image.fill(0);
      return result;
    };
    const [first, ...others] = await spoilt((images) =>
      segmenter.classifyImages(images, vocabulary, { batchSize: 1 }),
    );
    for (const { probabilities } of others) expect(probabilities).toEqual(first?.probabilities);
    using rows = await spoilt((images) => segmenter.encodeImages(images, { batchSize: 1 }));
    const size = segmenter.manifest.embeddingDim;
    const numbers = rows.data as Float32Array;
    for (const row of [1, 2]) {
      expect(numbers.slice(row * size, (row + 1) * size)).toEqual(numbers.slice(0, size));
    }
  });
});

describe('evaluate', () => {
  it('scores places as it scores masks, at a threshold of entropy too', async () => {
    const folder = temporaryFolder();
    try {
      await drawScenes(folder, 3, 8);
      const dataset = await openDataset('coco-panoptic', folder);
      const report = await evaluate(segmenter, dataset);
      expect(report.groups.all?.semantic?.miou).toBeGreaterThanOrEqual(0);
      expect(report.groups.all?.panoptic).toBeUndefined();
      const pictures = await reportPictures(segmenter, dataset, report, { limit: 1 });
      expect(pictures).toHaveLength(1);
      const silent = await evaluate(segmenter, dataset, { thresholds: { entropy: 0 } });
      expect(silent.groups.all?.semantic?.miou).toBe(0);
      const wrong = evaluate(segmenter, dataset, { thresholds: { overlap: 0.5 } });
      expect((await refusal(wrong)).message).toMatch(/overlap/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('training', () => {
  it('teaches the patches from images and captions alone', async () => {
    const trainer = await Trainer.open(TINY_DENSE_BUNDLE, { threads: 1 });
    const colours = ['red', 'green', 'blue', 'white'];
    const pixels = new Uint8Array(4 * 64 * 64 * 3);
    pixels.forEach((_, at) => {
      const image = Math.floor(at / (64 * 64 * 3));
      pixels[at] = image === 3 || at % 3 === image ? 230 : 20;
    });
    const ids = colours.map((name) => trainer.tokenizer.encode(name));
    const length = Math.max(...ids.map((row) => row.length));
    const tokens = BigInt64Array.from(
      ids.flatMap((row) => [...row, ...Array(length - row.length).fill(0)]).map(BigInt),
    );
    const totals: number[] = [];
    for (let step = 0; step < 30; step++) {
      const inputs = {
        images: Tensor.from(pixels, [4, 64, 64, 3]),
        token_ids: Tensor.from(tokens, [4, length]),
      };
      const batch = { inputs, name: 'colours', samples: 4 };
      totals.push((await trainer.step(batch, { learningRate: 0.01 })).total);
    }
    expect(totals.at(-1)).toBeLessThan(0.5 * (totals[0] as number));
    await trainer.dispose();
  });
});

describe('lexiseg heatmap', () => {
  it('writes a picture for each word, and says what it found', async () => {
    const folder = temporaryFolder();
    try {
      const image = join(folder, 'scene.png');
      writeFileSync(image, picture);
      const words = ['--words', 'dog|puppy, wooden floor', '--out', folder, '--shared', '--json'];
      const { status, stdout } = await lexiseg([
        'heatmap',
        image,
        '--bundle',
        TINY_DENSE_BUNDLE,
        ...words,
      ]);
      expect(status).toBe(0);
      const said = JSON.parse(stdout);
      expect(said.words.map(({ text }: { text: string }) => text)).toEqual(['dog', 'wooden floor']);
      for (const { file } of said.words) {
        expect((await sharp(file).metadata()).width).toBe(240);
      }
      expect(said.words[1].file).toMatch(/scene\.wooden_floor\.png$/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
