/** Videos with the tiny bundle (random weights): ids, order, back-pressure, and what may go wrong. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  evaluateVideo,
  openVipseg,
  Segmenter,
  segmentVideo,
  type Vocabulary,
  videoReportHtml,
} from '../../lib/index.js';
import { lexiseg, root, runNode } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';
import { drawScene } from '../fixtures/scene.js';
import { SCENE_CLASSES, TINY_BUNDLE, TINY_DENSE_BUNDLE } from './bundle-file.js';

let folder: string;
let segmenter: Segmenter;
let vocabulary: Vocabulary;
let picture: Buffer;
/** What every mask is enough for: random weights are sure of nothing. */
const thresholds = { objectMask: 0, overlap: 0 };

beforeAll(async () => {
  folder = temporaryFolder();
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
  vocabulary = await segmenter.createVocabulary(SCENE_CLASSES);
  picture = await drawScene(240, 160);
});
afterAll(async () => {
  vocabulary.dispose();
  await segmenter.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('segmentVideo', () => {
  it('gives equal frames equal ids, in the map and in the list', async () => {
    const seen: string[] = [];
    const options = { thresholds };
    for await (const frame of segmentVideo(
      segmenter,
      Array(4).fill(picture),
      vocabulary,
      options,
    )) {
      using segmentation = frame.segmentation;
      expect(frame).toMatchObject({ index: seen.length, cut: false });
      const ids = segmentation.segments.map(({ id }) => id);
      expect(ids.length).toBeGreaterThan(1);
      expect(new Set(segmentation.segmentMap).size).toBeLessThanOrEqual(1 + ids.length);
      const areas = segmentation.segments.map(
        ({ id }) => segmentation.mask(id).filter((inside) => inside === 1).length,
      );
      expect(areas).toEqual(segmentation.segments.map(({ area }) => area));
      seen.push(JSON.stringify(segmentation.segments));
    }
    expect(seen).toHaveLength(4);
    expect(new Set(seen).size).toBe(1);
  });

  it('begins anew after a cut, with ids that nobody had', async () => {
    const other = await sharp(picture).negate({ alpha: false }).png().toBuffer();
    const frames: { cut: boolean; things: number[] }[] = [];
    for await (const { cut, segmentation } of segmentVideo(
      segmenter,
      [picture, picture, other],
      vocabulary,
      { thresholds },
    )) {
      const things = segmentation.segments.filter(({ thing }) => thing).map(({ id }) => id);
      frames.push({ cut, things });
      segmentation.dispose();
    }
    expect(frames.map(({ cut }) => cut)).toEqual([false, false, true]);
    const [first, , last] = frames;
    expect(last?.things.some((id) => first?.things.includes(id))).toBe(false);
  });

  it.each([
    [0, [false, true, true]],
    [0.99, [false, false, true]],
    [1, [false, false, false]],
  ])(
    'cuts where %d of the colours are new: at 0 everywhere, at 1 nowhere',
    async (sceneCut, cuts) => {
      const plain = (background: string): Promise<Buffer> =>
        sharp({ create: { width: 96, height: 64, channels: 3, background } })
          .png()
          .toBuffer();
      const [black, white] = await Promise.all([plain('#000'), plain('#fff')]);
      const found: boolean[] = [];
      const frames = [black, black, white];
      for await (const frame of segmentVideo(segmenter, frames, vocabulary, { sceneCut })) {
        found.push(frame.cut);
        frame.segmentation.dispose();
      }
      expect(found).toEqual(cuts);
    },
  );

  it('takes frames of changing size, and makes the source wait for the caller', async () => {
    let taken = 0;
    async function* source(): AsyncGenerator<Buffer> {
      for (;;) {
        taken++;
        yield await sharp(picture)
          .resize(100 + 8 * taken, 90)
          .png()
          .toBuffer();
      }
    }
    const widths: number[] = [];
    for await (const { index, segmentation } of segmentVideo(segmenter, source(), vocabulary)) {
      widths.push(segmentation.width);
      segmentation.dispose();
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(taken).toBeLessThanOrEqual(index + 2);
      if (index === 3) break;
    }
    expect(widths).toEqual([108, 116, 124, 132]);
    expect(segmenter.memoryStats().running).toBe(0);
  });

  /** One frame, then none ever; `ended` is whether it was told that nobody waits. */
  function stalled(): { frames: AsyncIterable<Buffer>; ended: () => boolean } {
    let [given, ended] = [false, false];
    const next = async (): Promise<IteratorResult<Buffer>> => {
      if (given) return new Promise(() => {});
      given = true;
      return { done: false, value: picture };
    };
    const close = async (): Promise<IteratorResult<Buffer>> => {
      ended = true;
      return new Promise(() => {});
    };
    const frames = { [Symbol.asyncIterator]: () => ({ next, return: close }) };
    return { frames, ended: () => ended };
  }

  it('may be left while the source gives nothing more', async () => {
    const { frames, ended } = stalled();
    let count = 0;
    for await (const { segmentation } of segmentVideo(segmenter, frames, vocabulary)) {
      segmentation.dispose();
      count++;
      break;
    }
    expect({ count, ended: ended() }).toEqual({ count: 1, ended: true });
  }, 10_000);

  it('is cancelled while the source gives nothing more', async () => {
    const { frames, ended } = stalled();
    const controller = new AbortController();
    const { signal } = controller;
    const found = segmentVideo(segmenter, frames, vocabulary, { signal });
    const { value } = await found.next();
    value?.segmentation.dispose();
    setTimeout(() => controller.abort(), 50);
    await expect(found.next()).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(ended()).toBe(true);
  }, 10_000);

  it('ends a source that waits for it in order, and only once', async () => {
    const seen: string[] = [];
    async function* source(): AsyncGenerator<Buffer> {
      try {
        for (;;) yield picture;
      } finally {
        await new Promise((resolve) => setTimeout(resolve, 20));
        seen.push('ended');
      }
    }
    for await (const { index, segmentation } of segmentVideo(segmenter, source(), vocabulary)) {
      segmentation.dispose();
      if (index === 1) break;
    }
    expect(seen).toEqual(['ended']);
  });

  it('ends with an error of the source, after the frames before it', async () => {
    function* broken(): Generator<Buffer> {
      yield picture;
      yield picture.subarray(0, 300);
    }
    let count = 0;
    const run = async (): Promise<void> => {
      for await (const { segmentation } of segmentVideo(segmenter, broken(), vocabulary)) {
        count++;
        segmentation.dispose();
      }
    };
    await expect(run()).rejects.toMatchObject({ code: 'ERR_IMAGE_READ' });
    expect(count).toBe(1);
  });

  it('gives the frame in work when its segmenter is disposed, and no other', async () => {
    const own = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
    using words = await own.createVocabulary(['sky']);
    function* source(): Generator<Buffer> {
      setImmediate(() => own.dispose());
      for (;;) yield picture;
    }
    const frames = segmentVideo(own, source(), words);
    const { value } = await frames.next();
    expect(value?.segmentation.width).toBe(240);
    value?.segmentation.dispose();
    await expect(frames.next()).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  it('is cancelled by its signal', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const run = async (): Promise<void> => {
      const frames = segmentVideo(segmenter, Array(50).fill(picture), vocabulary, { signal });
      for await (const { segmentation } of frames) {
        segmentation.dispose();
        controller.abort();
      }
    };
    await expect(run()).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  it.each([
    [{ tracking: { memory: -1 } }, 'options.tracking.memory'],
    [{ tracking: { association: 'magic' } }, 'options.tracking.association'],
    [{ sceneCut: 2 }, 'options.sceneCut'],
    [{ trackings: {} }, 'did you mean "tracking"'],
  ])('refuses the options %j', async (options, message) => {
    const frames = segmentVideo(segmenter, [picture], vocabulary, options as never);
    await expect(frames.next()).rejects.toThrow(message);
  });

  it.each([
    [42, 'a folder, a video file or an iterable'],
    [join(root, 'no-such-folder'), 'Cannot read'],
    [join(root, 'docs'), 'holds no images'],
  ])('refuses %j for frames', async (given, message) => {
    const frames = segmentVideo(segmenter, given as never, vocabulary);
    await expect(frames.next()).rejects.toThrow(message);
  });

  it('needs a bundle that makes panoptic maps', async () => {
    const dense = await Segmenter.load(TINY_DENSE_BUNDLE, { cache: false });
    const frames = segmentVideo(dense, [picture], ['sky']);
    await expect(frames.next()).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
    await dense.dispose();
  });
});

describe('moving scenes', () => {
  it('are drawn, read and scored', async () => {
    const place = join(folder, 'videos');
    const tool = join(root, 'tools/scenes/main.mjs');
    const sizes = ['--count', '2', '--frames', '5', '--seed', '4'];
    expect((await runNode([tool, 'videos', place, ...sizes])).status).toBe(0);
    const dataset = await openVipseg(place);
    expect(dataset.videos.map(({ length }) => length)).toEqual([5, 5]);
    for (const video of dataset.videos) {
      const truths = await Promise.all([0, 1, 2, 3, 4].map((t) => video.truth(t)));
      for (const { ids, segments } of truths) {
        expect(ids.includes(0)).toBe(false);
        expect(segments.length).toBeGreaterThan(0);
      }
    }
    const report = await evaluateVideo(segmenter, dataset, { thresholds, limit: 1 });
    expect(report).toMatchObject({ videos: 1, frames: 5, vocabulary: 'names of videos' });
    expect(videoReportHtml(report)).toContain(report.weights);
    expect(report.weights).toMatch(/random/);
    expect(report.groups.all?.meanVpq).toBeGreaterThanOrEqual(0);
    expect(Object.keys(report.groups.all?.vpq ?? {})).toEqual(['1', '2', '4', '6']);
    expect(report.consistency['8']).toBeNaN();
    const out = join(folder, 'scores');
    const args = ['eval', TINY_BUNDLE, '--dataset', 'vipseg', '--data', place, '--out', out];
    const { status, stdout } = await lexiseg([...args, '--limit', '1', '--no-cache']);
    expect(status).toBe(0);
    expect(stdout).toContain('STQ');
    expect(stdout).toContain('names of videos (engineered names)');
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('mVC 8');
    const plain = await lexiseg([
      ...args,
      '--limit',
      '1',
      '--no-cache',
      '--names',
      'plain',
      '--json',
    ]);
    expect(JSON.parse(plain.stdout).vocabulary).toBe('names of videos (plain names)');
    const page = readFileSync(join(out, 'report.html'), 'utf8');
    expect(page).toContain('names of videos (plain names)');
    for (const extra of [['--task', 'semantic'], ['--boundary'], ['--names', 'both']]) {
      const refused = await lexiseg([...args, ...extra]);
      expect(refused.status).toBe(2);
      expect(refused.stderr).toContain('is for images');
    }
    const two = { vocabulary: ['a thing', 'another'] };
    await expect(evaluateVideo(segmenter, dataset, two)).rejects.toThrow(/The vocabulary has 2/);
    // By regions nobody changes here; random weights would tell nobody from nobody.
    const trained = ['eval', 'demo-fc-clip', ...args.slice(2, -2), '--dtype', 'float32', '--json'];
    const by = ['--association', 'none', '--no-cache'];
    const { idSwitches } = JSON.parse((await lexiseg([...trained, ...by])).stdout);
    expect(idSwitches).toBeGreaterThan(0);
    const images = ['eval', TINY_BUNDLE, '--dataset', 'vipseg-frames', '--data', place];
    const refused = await lexiseg([...images, '--association', 'none']);
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain('--association is for videos');
  }, 180_000);
});
