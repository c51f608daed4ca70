/** Evaluation with the tiny bundle (random weights): what a data set that is not whole does to it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { evaluate, evaluatePatches, openDataset, Segmenter } from '../../lib/index.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';
import { drawScene } from '../fixtures/scene.js';
import { TINY_BUNDLE, TINY_DENSE_BUNDLE } from './bundle-file.js';

let folder: string;
let segmenter: Segmenter;
beforeAll(async () => {
  folder = temporaryFolder();
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
});
afterAll(async () => {
  await segmenter.dispose();
  rmSync(folder, { recursive: true, force: true });
});

it('refuses a data set whose first map is missing, and leaves the process alive', async () => {
  const image = { id: 1, file_name: 'a.png', width: 240, height: 160 };
  const annotation = { image_id: 1, file_name: 'missing.png', segments_info: [] };
  const categories = [{ id: 7, name: 'sky', isthing: 0 }];
  const json = { images: [image], categories, annotations: [annotation] };
  writeFiles(folder, { 'panoptic.json': JSON.stringify(json) });
  for (const name of ['images', 'panoptic']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'images/a.png'), await drawScene(240, 160));
  const unhandled: unknown[] = [];
  const note = (reason: unknown): number => unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const dataset = await openDataset('coco-panoptic', folder);
    await expect(evaluate(segmenter, dataset)).rejects.toMatchObject({
      code: 'ERR_DATA',
      message: expect.stringContaining('missing.png'),
    });
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', note);
  }
});

it('refuses an image that its EXIF turns while its map stays', async () => {
  const place = join(folder, 'turned');
  for (const name of ['images', 'panoptic']) mkdirSync(join(place, name), { recursive: true });
  const turned = sharp(await drawScene(240, 160)).withMetadata({ orientation: 6 });
  await turned.jpeg().toFile(join(place, 'images/a.jpg'));
  const map = { create: { width: 240, height: 160, channels: 3, background: '#010000' } } as const;
  await sharp(map).png().toFile(join(place, 'panoptic/a.png'));
  const segments_info = [{ id: 1, category_id: 7, iscrowd: 0 }];
  const json = {
    images: [{ id: 1, file_name: 'a.jpg', width: 240, height: 160 }],
    categories: [{ id: 7, name: 'sky', isthing: 0 }],
    annotations: [{ image_id: 1, file_name: 'a.png', segments_info }],
  };
  writeFiles(place, { 'panoptic.json': JSON.stringify(json) });
  const dataset = await openDataset('coco-panoptic', place);
  const refusal = {
    code: 'ERR_DATA',
    message: expect.stringMatching(/a\.jpg: is 160 × 240, its truth 240 × 160/),
  };
  await expect(evaluate(segmenter, dataset)).rejects.toMatchObject(refusal);
  await using dense = await Segmenter.load(TINY_DENSE_BUNDLE, { cache: false });
  await expect(evaluate(dense, dataset)).rejects.toMatchObject(refusal);
  await expect(evaluatePatches(dense, dataset)).rejects.toMatchObject(refusal);
});
