/** Words of captions beside masks, from drawn scenes to a step of the trainer. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CaptionWords,
  openCaptionWords,
  openDataset,
  panopticData,
  Tensor,
  Trainer,
} from '../../lib/index.js';
import { drawScenes } from '../cli/drawn-scenes.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE } from './bundle-file.js';

const SIZE = { width: 64, height: 64 };

let folder: string;
let scenes: string;
let trainer: Trainer;
beforeAll(async () => {
  folder = temporaryFolder();
  scenes = join(folder, 'scenes');
  await drawScenes(scenes, 6, 8);
  trainer = await Trainer.open(TINY_BUNDLE, { vocabulary: ['left', 'right'], threads: 1 });
}, 120_000);
afterAll(async () => {
  await trainer.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Tensors of the first batch. */
async function firstBatch(words: CaptionWords | undefined, batchSize = 3) {
  const dataset = await openDataset('coco-panoptic', scenes);
  const classes = dataset.classes.map(({ name }) => name);
  const data = panopticData(dataset, { batchSize, imageSize: SIZE, classes, words });
  const request = { start: 0, seed: 3, rank: 0, worldSize: 1 };
  const { value } = await data.batches(request)[Symbol.asyncIterator]().next();
  return value.inputs as Record<string, Tensor>;
}

/** A captions file with the rows of the scenes' own, changed. */
function captions(name: string, change: (row: Record<string, unknown>) => object): string {
  const rows = readFileSync(join(scenes, 'captions.jsonl'), 'utf8').trim().split('\n');
  const path = join(scenes, name);
  writeFileSync(path, rows.map((row) => JSON.stringify(change(JSON.parse(row)))).join('\n'));
  return path;
}

const countsOf = ({ word_counts: counts }: Record<string, Tensor>): number[] =>
  [...((counts as Tensor).data as BigInt64Array)].map(Number);

const bytesOf = ({ data }: Tensor): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

describe('words of captions', () => {
  it('come with masks, at most five to an image, and change no image', async () => {
    const words = await openCaptionWords(join(scenes, 'captions.jsonl'), trainer.tokenizer);
    const [given, again, without] = [
      await firstBatch(words),
      await firstBatch(words),
      await firstBatch(undefined),
    ];
    const counts = countsOf(given);
    expect(counts).toHaveLength(3);
    for (const count of counts) {
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThanOrEqual(5);
    }
    const rows = counts.reduce((sum, count) => sum + count, 0);
    expect(given.word_ids?.shape[0]).toBe(rows);
    expect(given.word_ids?.data).toEqual(again.word_ids?.data);
    for (const name of ['images', 'masks']) {
      expect(bytesOf(given[name] as Tensor)).toEqual(bytesOf(without[name] as Tensor));
    }
    expect(without).not.toHaveProperty('word_ids');
  });

  it('are none where a caption names nothing, and less than all of a long one', async () => {
    const long = 'a dog, a cat, a house, a tree, a lamp, a table, a boat, a bird and a car';
    const path = captions('long.jsonl', ({ image }) => ({ image, caption: long }));
    const words = await openCaptionWords(path, trainer.tokenizer);
    expect(countsOf(await firstBatch(words))).toEqual([5, 5, 5]);
    const nothing = captions('nothing.jsonl', ({ image }) => ({ image, caption: 'running fast' }));
    const none = await openCaptionWords(nothing, trainer.tokenizer);
    expect(await firstBatch(none)).not.toHaveProperty('word_ids');
  });

  it('are refused when they are of other images, or not to be read', async () => {
    const other = captions('other.jsonl', () => ({ image: 'elsewhere.jpg', caption: 'a dog' }));
    const words = await openCaptionWords(other, trainer.tokenizer);
    await expect(firstBatch(words)).rejects.toMatchObject({ code: 'ERR_DATA' });
    const broken = join(scenes, 'broken.jsonl');
    writeFileSync(broken, '{"image": "a.jpg"}\n');
    await expect(openCaptionWords(broken, trainer.tokenizer)).rejects.toThrow(/broken\.jsonl:1/);
  });

  it('must be as many as their counts say', async () => {
    const words = await openCaptionWords(join(scenes, 'captions.jsonl'), trainer.tokenizer);
    const inputs = await firstBatch(words);
    inputs.labels = Tensor.from(new BigInt64Array(inputs.labels?.shape[0] ?? 0), [
      inputs.labels?.shape[0] ?? 0,
    ]);
    inputs.word_counts = Tensor.from(BigInt64Array.of(1n, 0n, 0n), [3]);
    const step = trainer.step({ inputs, name: 'miscounted', samples: 3 }, { learningRate: 1e-4 });
    await expect(step).rejects.toThrow(/word_counts of miscounted: they are of 1 words/);
  });
});
