/** Whole images: accuracy on pictures in folders, held to a loop, by call and by command. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateImages, openImageFolders, Segmenter } from '../../lib/index.js';
import { lexiseg } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE, TINY_DENSE_BUNDLE } from '../e2e/bundle-file.js';

/** Folders, and as many pictures of each; `nothing` has none. */
const COUNTS = { brick_wall: 3, car: 2, dog: 2, grass: 3, nothing: 0, sea: 2, sky: 3 };
const WORDS = Object.keys(COUNTS).map((name) => name.replace('_', ' '));

let folder: string;
let segmenter: Segmenter;

beforeAll(async () => {
  folder = temporaryFolder();
  let shade = 0;
  for (const [name, count] of Object.entries(COUNTS)) {
    mkdirSync(join(folder, name, 'more'), { recursive: true });
    for (let i = 0; i < count; i++) {
      shade += 14;
      const background = { r: shade, g: 255 - shade, b: (5 * shade) % 256 };
      const path = join(folder, name, i === 0 ? 'more' : '.', `${i}.png`);
      await sharp({ create: { width: 48 + 16 * i, height: 48, channels: 3, background } })
        .png()
        .toFile(path);
    }
    writeFileSync(join(folder, name, 'notes.txt'), 'no image');
  }
  segmenter = await Segmenter.load(TINY_DENSE_BUNDLE, { cache: false, dtype: 'float32' });
});

afterAll(async () => {
  await segmenter.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('openImageFolders', () => {
  it('finds the images of each class, in the order of the folders', () => {
    const { classes, images } = openImageFolders(folder);
    expect(classes.map(({ name }) => name)).toEqual(WORDS);
    const counts = WORDS.map((_, index) => images.filter((one) => one.classIndex === index).length);
    expect(counts).toEqual(Object.values(COUNTS));
    expect(images[0]?.path).toBe(join(folder, 'brick_wall', '1.png'));
  });

  it('refuses what holds no such folders', () => {
    for (const place of [
      join(folder, 'none'),
      join(folder, 'car', 'more'),
      join(folder, 'nothing'),
    ]) {
      expect(() => openImageFolders(place)).toThrowError(
        expect.objectContaining({ code: 'ERR_DATA' }),
      );
    }
  });
});

describe('evaluateImages', () => {
  it('counts what a loop over single images counts', async () => {
    const dataset = openImageFolders(folder);
    const told: number[] = [];
    const report = await evaluateImages(segmenter, dataset, {
      onProgress: ({ done, total }) => told.push(done / total),
    });
    using vocabulary = await segmenter.createVocabulary(WORDS);
    const right = { top1: 0, top5: 0 };
    for (const { path, classIndex } of dataset.images) {
      const [found] = await segmenter.classifyImages([path], vocabulary);
      const own = found?.probabilities[classIndex] as number;
      const better = found?.probabilities.filter(
        (p, k) => p > own || (p === own && k < classIndex),
      );
      if (better?.length === 0) right.top1++;
      if ((better?.length ?? 9) < 5) right.top5++;
    }
    expect(report).toMatchObject({
      images: 15,
      top1: right.top1 / 15,
      top5: right.top5 / 15,
      bundle: segmenter.path,
      weights: expect.stringContaining('random'),
      vocabulary: `names of ${dataset.name}`,
      wordsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    // A random network prefers some class: neither none nor all of the folders are right.
    expect(report.top1).toBeLessThan(1);
    expect(report.top5).toBeGreaterThan(0);
    expect(report.perClass.map(({ images }) => images)).toEqual(Object.values(COUNTS));
    expect(report.perClass[4]).toEqual({ name: 'nothing', images: 0, top1: NaN, top5: NaN });
    const sum = report.perClass.reduce((all, { images, top1 }) => all + images * (top1 || 0), 0);
    expect(sum).toBeCloseTo(right.top1, 9);
    expect(told).toEqual([1]);
  });

  it('takes other names in the order of the folders, and refuses another number of them', async () => {
    const dataset = openImageFolders(folder);
    const vocabulary = WORDS.toReversed();
    const { perClass } = await evaluateImages(segmenter, dataset, { vocabulary });
    expect(perClass[0]).toMatchObject({ name: 'sky', images: 3 });
    await expect(evaluateImages(segmenter, dataset, { vocabulary: ['sky'] })).rejects.toMatchObject(
      { code: 'ERR_VOCABULARY' },
    );
  });

  it('says that a bundle which proposes masks classifies no images', async () => {
    await using other = await Segmenter.load(TINY_BUNDLE, { cache: false });
    await expect(evaluateImages(other, openImageFolders(folder))).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
    });
  });
});

describe('lexiseg classify', () => {
  const bundle = ['--bundle', TINY_DENSE_BUNDLE];

  it('tells the most probable classes of each image, and goes on after one that is none', async () => {
    const picture = join(folder, 'car', '1.png');
    const images = [join(folder, 'car', 'notes.txt'), picture];
    const words = ['--classes', 'car|taxi, sky, sea', '--top', '2'];
    const { status, stdout, stderr } = await lexiseg(['classify', ...images, ...bundle, ...words]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/notes\.txt.*\[ERR_IMAGE_READ\]/);
    expect(stdout).toMatch(/tiny-pacl\.pt \(random weights\)\nclass +probability\n/);
    expect(stdout.match(/%$/gm)).toHaveLength(2);
    const json = await lexiseg(['classify', picture, ...bundle, ...words, '--json']);
    const { image, classes } = JSON.parse(json.stdout);
    expect(image).toBe(picture);
    expect(classes).toHaveLength(2);
    expect(classes[0].probability).toBeGreaterThanOrEqual(classes[1].probability);
  });

  it('measures on folders', async () => {
    const { status, stdout } = await lexiseg(['classify', '--data', folder, ...bundle]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/15 images of 7 classes, tiny-pacl\.pt \(random weights\)\nby names of/);
    expect(stdout).toMatch(/\ntop-1 [\d.]+%, top-5 [\d.]+%/);
    expect(stdout).toMatch(/nothing +0 +- +-/);
  });

  it('tells the best and the best five of a set, and no other number', async () => {
    const args = ['classify', '--data', folder, '--top', '3', ...bundle];
    expect(await lexiseg(args)).toMatchObject({ status: 2 });
  });

  it('takes images or data, not both and not none', async () => {
    for (const args of [[], [join(folder, 'car', '1.png'), '--data', folder]]) {
      const { status, stderr } = await lexiseg(['classify', ...args, ...bundle]);
      expect({ status, stderr }).toMatchObject({ status: 2 });
      expect(stderr).toContain('give images, or --data FOLDER');
    }
  });
});
