/** How many decoded images of captions are in memory at one time, whatever the batch. */
import { rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readManifest, readMerges, tokenizerOf } from '../../lib/bundle.js';
import { atMost } from '../../lib/data/sample-stream.js';
import { openImageText, panopticData, type SegmentationDataset } from '../../lib/index.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE } from '../e2e/bundle-file.js';

const open = vi.hoisted(() => ({ now: 0, most: 0, all: 0 }));

/** An image is open from its decoding on, until the trip to sharp that cuts it ends. */
vi.mock('sharp', async (original) => {
  const { default: sharp } = await original<typeof import('sharp')>();
  const counted = (source: string | Uint8Array, options: object) => {
    const image = sharp(source, options);
    if (!('raw' in options)) {
      open.now++;
      open.all++;
      open.most = Math.max(open.most, open.now);
      return image;
    }
    const toBuffer = image.toBuffer.bind(image) as () => Promise<Buffer>;
    const cut = () =>
      toBuffer().finally(() => {
        open.now--;
      });
    return Object.assign(image, { toBuffer: cut });
  };
  return { default: Object.assign(counted, sharp) };
});

let root: string;
beforeEach(() => {
  root = temporaryFolder();
  Object.assign(open, { now: 0, most: 0, all: 0 });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('open images', () => {
  it('are two for each core, however large the batch', async () => {
    const { default: sharp } = await vi.importActual<typeof import('sharp')>('sharp');
    const create = { width: 400, height: 300, channels: 3 as const, background: 'teal' };
    const files = Array.from({ length: 5 }, (_, i) => `${i}.png`);
    for (const file of files) await sharp({ create }).toFile(join(root, file));
    const lines = files.map((image) => JSON.stringify({ image, caption: `picture ${image}` }));
    writeFileSync(join(root, 'captions.jsonl'), lines.join('\n'));
    const manifest = await readManifest(TINY_BUNDLE);
    const tokenizer = tokenizerOf(await readMerges(TINY_BUNDLE, manifest, undefined), manifest);
    const batchSize = 4 * availableParallelism();
    const data = await openImageText(join(root, 'captions.jsonl'), tokenizer, {
      batchSize,
      imageSize: 144,
    });
    let batches = 0;
    for await (const { inputs } of data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 })) {
      for (const tensor of Object.values(inputs)) tensor.dispose();
      if (++batches === 2) break;
    }
    expect(open.all).toBeGreaterThanOrEqual(2 * batchSize);
    expect(open.now).toBe(0);
    // Fewer would leave a core without work.
    expect(open.most).toBe(2 * availableParallelism());
  });

  it('are as few where images have masks', async () => {
    const { default: sharp } = await vi.importActual<typeof import('sharp')>('sharp');
    const create = { width: 600, height: 440, channels: 3 as const, background: 'teal' };
    await sharp({ create }).toFile(join(root, 'a.png'));
    const batchSize = 6 * availableParallelism();
    const dataset: SegmentationDataset = {
      name: 'one picture',
      classes: [{ name: 'sea', synonyms: [], thing: false }],
      tasks: ['semantic'],
      length: 3,
      image: () => ({ name: 'a', path: join(root, 'a.png') }),
      truth: async () => ({
        ...{ width: 600, height: 440, ids: new Uint32Array(600 * 440).fill(1) },
        segments: [{ id: 1, classIndex: 0, crowd: false }],
      }),
    };
    const options = { batchSize, imageSize: { width: 256, height: 192 }, classes: ['sea'] };
    // Small parts, and those made larger, are cut without sharp, and not counted.
    const data = panopticData(dataset, { ...options, scale: [1, 1.5] });
    for await (const { inputs } of data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 })) {
      expect(inputs.labels?.shape).toEqual([batchSize]);
      for (const tensor of Object.values(inputs)) tensor.dispose();
      break;
    }
    expect(open.now).toBe(0);
    expect(open.most).toBe(2 * availableParallelism());

    const wrong = [
      [{ shortestEdges: [] }, /data\.shortestEdges/],
      [{ shortestEdges: [320, 4] }, /data\.shortestEdges\[1\]/],
      [{ shortestEdges: [320], scale: [1, 2] as const }, /no "shortestEdges" beside it/],
      [{ longestEdge: 640 }, /"shortestEdges" beside it/],
    ] as const;
    for (const [change, message] of wrong) {
      expect(() => panopticData(dataset, { ...options, ...change })).toThrow(message);
    }
  });
});

describe('atMost', () => {
  it('starts what it is given in order, so many at one time, and goes on after a failure', async () => {
    const limited = atMost(2);
    const started: number[] = [];
    let running = 0;
    const work = (index: number) => async () => {
      started.push(index);
      expect(++running).toBeLessThanOrEqual(2);
      await new Promise((done) => setTimeout(done, index % 3));
      running--;
      if (index === 1) throw new Error('one');
      return index;
    };
    const results = await Promise.allSettled([0, 1, 2, 3, 4, 5].map((i) => limited(work(i))));
    expect(started).toEqual([0, 1, 2, 3, 4, 5]);
    expect(results.map(({ status }) => status === 'fulfilled')).toEqual([
      ...[true, false, true, true, true, true],
    ]);
    expect(await limited(work(6))).toBe(6);
  });
});
