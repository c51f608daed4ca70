/** From a picture and words to masks, through the addon, with the tiny bundle (random weights). */
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Segmenter, type SemanticSegmentation, Tensor, type Vocabulary } from '../../lib/index.js';
import { drawScene } from '../fixtures/scene.js';
import { SCENE_CLASSES, TINY_BUNDLE } from './bundle-file.js';

let segmenter: Segmenter;
let vocabulary: Vocabulary;
let picture: Buffer;

beforeAll(async () => {
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
  vocabulary = await segmenter.createVocabulary(SCENE_CLASSES);
  picture = await drawScene(240, 160);
});
afterAll(() => segmenter.dispose());

describe('segment', () => {
  it('gives a class for every pixel', async () => {
    using result = await segmenter.segment(picture, vocabulary, { task: 'semantic' });
    expect(result).toMatchObject({ task: 'semantic', width: 240, height: 160 });
    expect(result.labelMap).toHaveLength(240 * 160);
    expect(result.scoreMap.every((score) => score >= 0 && Number.isFinite(score))).toBe(true);
    expect(result.labelMap.every((label) => label >= 0 && label < SCENE_CLASSES.length)).toBe(true);
    const total = result.segments.reduce((sum, { area }) => sum + area, 0);
    expect(total).toBe(240 * 160);
    for (const segment of result.segments) checkSegment(result.mask(segment), segment, 240);
  });

  it('gives disjoint segments', async () => {
    using result = await segmenter.segment(picture, vocabulary);
    expect(result.task).toBe('panoptic');
    const areas = new Map<number, number>();
    for (const id of result.segmentMap) areas.set(id, (areas.get(id) ?? 0) + 1);
    for (const segment of result.segments) {
      expect(areas.get(segment.id)).toBe(segment.area);
      expect(segment.className).toBe(vocabulary.classes[segment.classIndex]?.name);
      checkSegment(result.mask(segment), segment, 240);
    }
    const stuff = result.segments.filter(({ thing }) => !thing).map(({ classIndex }) => classIndex);
    expect(new Set(stuff).size).toBe(stuff.length);
  });

  it('gives instances of things, best first', async () => {
    using result = await segmenter.segment(picture, vocabulary, { task: 'instance' });
    expect(result.task).toBe('instance');
    expect(result.segments.length).toBeGreaterThan(0);
    const scores = result.segments.map(({ score }) => score);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(result.segments.every(({ thing }) => thing)).toBe(true);
    for (const segment of result.segments) checkSegment(result.mask(segment), segment, 240);
    const few = await segmenter.segment(picture, vocabulary, {
      task: 'instance',
      thresholds: { instanceScore: scores[1] as number },
    });
    expect(few.segments.length).toBe(scores.filter((s) => s >= (scores[1] as number)).length);
  });

  it('writes the result at the size asked for', async () => {
    const outputSize = { width: 77, height: 131 };
    for (const task of ['semantic', 'panoptic', 'instance'] as const) {
      using result = await segmenter.segment(picture, vocabulary, { task, outputSize });
      expect(result).toMatchObject(outputSize);
      expect((await result.regionMap()).data).toHaveLength(77 * 131);
    }
    using masks = await segmenter.segment(picture, vocabulary, {
      task: 'semantic',
      semanticResize: 'masks',
    });
    using scores = await segmenter.segment(picture, vocabulary, { task: 'semantic' });
    expect(agreement(masks.labelMap, scores.labelMap)).toBeGreaterThan(0.8);
  });

  it('gives each image of a batch what it gives it alone, in order', async () => {
    const sizes = [
      [240, 160],
      [100, 160],
      [240, 160],
      [64, 64],
      [100, 160],
      [1, 9],
    ] as const;
    const images = await Promise.all(sizes.map(([w, h]) => drawScene(w, h)));
    // In bfloat16 the order of sums, which a batch may change, shows at near ties.
    await using exact = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
    using words = await exact.createVocabulary(SCENE_CLASSES);
    const alone: SemanticSegmentation[] = [];
    for (const image of images) {
      alone.push(await exact.segment(image, words, { task: 'semantic' }));
    }
    for (const batchSize of [1, 2, 8]) {
      const progress: number[] = [];
      const together = await exact.segment(images, words, {
        task: 'semantic',
        batchSize,
        onProgress: ({ done, total }) => progress.push(done / total),
      });
      expect(together.map(({ width, height }) => [width, height])).toEqual(sizes);
      together.forEach((result, index) => {
        const same = agreement(result.labelMap, alone[index]?.labelMap as Int32Array);
        expect(same, `batch ${batchSize}, image ${index}`).toBeGreaterThan(0.9999);
      });
      expect(progress.at(-1)).toBe(1);
      expect(progress).toHaveLength(images.length);
    }
    expect(await segmenter.segment([], vocabulary)).toEqual([]);
  });

  it('accepts plain classes, and proposals instead of an image', async () => {
    using direct = await segmenter.segment(picture, SCENE_CLASSES, { task: 'semantic' });
    using proposals = await segmenter.proposeMasks(picture);
    using reused = await segmenter.segment(proposals, vocabulary, { task: 'semantic' });
    expect(agreement(direct.labelMap, reused.labelMap)).toBe(1);
    const [first, second] = await segmenter.segment([proposals, picture], vocabulary);
    expect(first?.segments).toEqual(second?.segments);
  });

  it('permutes its answer with the classes', async () => {
    using straight = await segmenter.segment(picture, SCENE_CLASSES, { task: 'semantic' });
    const reversed = [...SCENE_CLASSES].reverse();
    using turned = await segmenter.segment(picture, reversed, { task: 'semantic' });
    const back = turned.labelMap.map((label) => SCENE_CLASSES.length - 1 - label);
    expect(agreement(back, straight.labelMap)).toBeGreaterThan(0.999);
  });

  it('says that the weights are random wherever the bundle is named', async () => {
    using result = await segmenter.segment(picture, vocabulary);
    expect(segmenter.manifest.weights.kind).toBe('random');
    expect(JSON.parse(JSON.stringify(result)).bundle.label).toBe(
      'tiny-fc-clip.pt (random weights)',
    );
  });
});

describe('stages', () => {
  it('show their tensors', async () => {
    using proposals = await segmenter.proposeMasks(picture);
    using classified = await segmenter.classifyMasks(proposals, vocabulary);
    const queries = proposals.queryCount;
    expect(proposals.maskLogits.shape.slice(0, 2)).toEqual([1, queries]);
    expect(classified.logProbs.shape).toEqual([1, queries, SCENE_CLASSES.length + 1]);
    const row = (classified.logProbs.data as Float32Array).slice(0, SCENE_CLASSES.length + 1);
    const sum = row.reduce((total, value) => total + Math.exp(value), 0);
    expect(sum).toBeCloseTo(1, 3);
    const both = await segmenter.proposeMasks([picture, picture]);
    expect(both).toHaveLength(2);
  });

  it('encodes prompts exactly as written, unit length, whatever their company', async () => {
    using many = await segmenter.encodeText([
      'a cat',
      'a photo of a dog that is sleeping',
      'a cat',
    ]);
    using one = await segmenter.encodeText('a cat');
    const dim = segmenter.manifest.embeddingDim;
    expect(many.shape).toEqual([3, dim]);
    const rows = many.data as Float32Array;
    const norm = Math.hypot(...rows.subarray(dim, 2 * dim));
    expect(norm).toBeCloseTo(1, 3);
    (one.data as Float32Array).forEach((value, i) => {
      expect(Math.abs(value - (rows[i] as number))).toBeLessThan(0.01);
      expect(rows[i]).toBe(rows[2 * dim + i]);
    });
  });

  it('measures its stages', async () => {
    const times = await segmenter.profile(picture, vocabulary);
    expect(times.map(({ stage }) => stage)).toEqual([
      'decode',
      'preprocess',
      'backbone',
      'pixel_decoder',
      'transformer_decoder',
      'classification',
      'post_processing',
    ]);
    expect(times.every(({ milliseconds }) => milliseconds >= 0)).toBe(true);
  });

  it('accepts every kind of image alike', async () => {
    const { data, info } = await sharp(picture).raw().toBuffer({ resolveWithObject: true });
    const raw = { data, width: info.width, height: info.height };
    using reference = await segmenter.segment(picture, vocabulary, { task: 'semantic' });
    for (const [image, copy] of [
      [raw, 'auto'],
      [raw, 'never'],
      [sharp(picture), 'auto'],
    ] as const) {
      using result = await segmenter.segment(image, vocabulary, { task: 'semantic', copy });
      expect(agreement(result.labelMap, reference.labelMap)).toBe(1);
    }
  });

  it('reads images as they are at the call, whatever becomes of them after it', async () => {
    const { data, info } = await sharp(picture).raw().toBuffer({ resolveWithObject: true });
    const raw = () => ({ data: Uint8Array.from(data), width: info.width, height: info.height });
    const spoil = (...images: ({ data: Uint8Array } | Uint8Array)[]): void => {
      for (const image of images) ('data' in image ? image.data : image).fill(0);
    };
    const task = 'semantic';
    using reference = await segmenter.segment(picture, vocabulary, { task });
    for (const words of [vocabulary, SCENE_CLASSES]) {
      const list = [raw(), Buffer.from(picture), raw(), new Uint8Array(picture)];
      const together = segmenter.segment(list, words, { task });
      spoil(...list);
      for (const result of await together) {
        expect(agreement(result.labelMap, reference.labelMap)).toBe(1);
        result.dispose();
      }
      for (const image of [raw(), Buffer.from(picture)]) {
        const alone = segmenter.segment(image, words, { task });
        spoil(image);
        using result = await alone;
        expect(agreement(result.labelMap, reference.labelMap)).toBe(1);
      }
    }
    const both = [raw(), raw()];
    const proposing = segmenter.proposeMasks(both);
    spoil(...both);
    const [first, second] = (await proposing).map(({ maskLogits }) => [
      ...(maskLogits.data as Float32Array),
    ]);
    expect(second).toEqual(first);
  });

  it('names what is wrong with an image further down a list', async () => {
    const moved = new Uint8Array(12);
    structuredClone(moved.buffer, { transfer: [moved.buffer] });
    const wrong: [unknown, RegExp][] = [
      [{ data: moved, width: 2, height: 2 }, /transferred/],
      [moved, /empty/],
      [{ data: new Uint8Array(12), width: 2, heigth: 2 }, /"height"/],
      [{ data: [1, 2, 3], width: 1, height: 1 }, /image.data/],
      [null, /a path, a Buffer/],
    ];
    for (const [image, reason] of wrong) {
      const list = [picture, image] as Buffer[];
      await expect(segmenter.segment(list, vocabulary)).rejects.toThrow(reason);
    }
  });

  it('hands tensors out without copying and takes them back', async () => {
    using tensor = Tensor.from(Float32Array.of(1, 2, 3, 4), [2, 2]);
    expect(tensor.data).toBe(tensor.data);
    using half = await tensor.to({ dtype: 'bfloat16' });
    using back = await half.to({ dtype: 'float32' });
    expect([...(back.data as Float32Array)]).toEqual([1, 2, 3, 4]);
  });
});

function checkSegment(
  mask: Uint8Array,
  { area, box }: { area: number; box: { x: number; y: number; width: number; height: number } },
  width: number,
): void {
  let [count, left, right, top, bottom] = [0, width, -1, Number.POSITIVE_INFINITY, -1];
  mask.forEach((inside, pixel) => {
    if (inside === 0) return;
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    count += 1;
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  });
  expect(count).toBe(area);
  expect(box).toEqual({ x: left, y: top, width: right - left + 1, height: bottom - top + 1 });
}

function agreement(a: Int32Array, b: Int32Array): number {
  return a.reduce((same, label, pixel) => same + Number(label === b[pixel]), 0) / a.length;
}
