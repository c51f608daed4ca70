/** Batches for mask training: where padding lies, and which images take part. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataset, panopticData, type Tensor } from '../../lib/index.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';

const SIDE = 64;

let root: string;
beforeEach(() => {
  root = temporaryFolder();
  mkdirSync(join(root, 'images'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A black picture with a white left half, which is its one object. */
async function writeHalves(): Promise<void> {
  const rgb = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, at) =>
    Math.floor(at / 3) % SIDE < SIDE / 2 ? 255 : 0,
  );
  const raw = { width: SIDE, height: SIDE, channels: 3 as const };
  await sharp(rgb, { raw }).toFile(join(root, 'images', 'a.png'));
  const half = SIDE / 2;
  const json = {
    images: [{ id: 1, file_name: 'a.png', width: SIDE, height: SIDE }],
    categories: [{ id: 1, name: 'cat' }],
    annotations: [
      { image_id: 1, category_id: 1, segmentation: [[0, 0, half, 0, half, SIDE, 0, SIDE]] },
    ],
  };
  writeFiles(root, { 'instances.json': JSON.stringify(json) });
}

it('mirror what is seen and leave the padding at the right and the bottom', async () => {
  await writeHalves();
  const data = panopticData(await openDataset('coco-instance', root), {
    batchSize: 1,
    imageSize: { width: SIDE, height: SIDE },
    classes: ['cat'],
    scale: [0.5, 0.5],
    flip: 1,
  });
  const stream = data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 });
  const { value } = await stream[Symbol.asyncIterator]().next();
  const { images, masks } = value.inputs as Record<'images' | 'masks', Tensor>;
  const row = (tensor: Tensor, y: number, channels: number): number[] =>
    Array.from({ length: 8 }, (_, i) =>
      Number(tensor.data[(y * SIDE + 8 * i + 3) * channels] as number),
    );
  // Every eighth pixel: 32 × 32 of the canvas show the picture, its white half now at the right.
  expect(row(images, 16, 3)).toEqual([0, 0, 255, 255, 128, 128, 128, 128]);
  expect(row(images, 40, 3)).toEqual(Array(8).fill(128));
  expect(row(masks, 16, 1)).toEqual([0, 0, 1, 1, 0, 0, 0, 0]);
  expect(row(masks, 40, 1)).toEqual(Array(8).fill(0));
  for (const tensor of Object.values(value.inputs as Record<string, Tensor>)) tensor.dispose();
});

/** Names of the pictures in a pass over the data, from the names of its batches. */
async function trainedOn(kind: 'coco-instance' | 'coco-panoptic', classes: string[]) {
  const size = { width: 32, height: 32 };
  const dataset = await openDataset(kind, root);
  const data = panopticData(dataset, { batchSize: 1, imageSize: size, classes });
  const names: string[] = [];
  for await (const { inputs, name } of data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 })) {
    for (const tensor of Object.values(inputs)) tensor.dispose();
    names.push(/[a-z]\.png/.exec(name)?.[0] as string);
    if (names.length === data.samplesPerEpoch) break;
  }
  return names.sort();
}

describe('images without a segment of the classes', () => {
  const NAMES = ['a', 'b', 'c', 'd'];
  const size = { width: 8, height: 8 };
  const images = NAMES.map((name, id) => ({ id, file_name: `${name}.png`, ...size }));
  const categories = [
    { id: 1, name: 'cat' },
    { id: 2, name: 'dog' },
  ];

  beforeEach(async () => {
    const picture = sharp({ create: { ...size, channels: 3, background: '#000005' } });
    mkdirSync(join(root, 'panoptic'));
    for (const name of NAMES) await picture.clone().toFile(join(root, 'images', `${name}.png`));
  });

  it('are left out of COCO instances: those without any, and of crowds alone, too', async () => {
    const segmentation = [[0, 0, 8, 0, 8, 8, 0, 8]];
    const annotations = [
      { image_id: 0, category_id: 1, segmentation },
      { image_id: 1, category_id: 2, segmentation },
      { image_id: 2, category_id: 1, segmentation, iscrowd: 1 },
    ];
    writeFiles(root, { 'instances.json': JSON.stringify({ images, categories, annotations }) });
    expect(await trainedOn('coco-instance', ['cat'])).toEqual(['a.png']);
    expect(await trainedOn('coco-instance', ['cat', 'dog'])).toEqual(['a.png', 'b.png']);
  });

  it('are left out of COCO panoptic, and refused where no other is there', async () => {
    const map = sharp({ create: { ...size, channels: 3, background: '#050000' } });
    for (const name of NAMES) await map.clone().toFile(join(root, 'panoptic', `${name}.png`));
    const of = [[2], [1], [], [2]];
    const annotations = of.map((ids, image_id) => ({
      image_id,
      file_name: `${NAMES[image_id]}.png`,
      segments_info: ids.map((category_id) => ({
        id: 5,
        category_id,
        iscrowd: image_id === 3 ? 1 : 0,
      })),
    }));
    const written = { images, categories: [...categories, { id: 3, name: 'cow' }], annotations };
    writeFiles(root, { 'panoptic.json': JSON.stringify(written) });
    expect(await trainedOn('coco-panoptic', ['dog'])).toEqual(['a.png']);
    expect(await trainedOn('coco-panoptic', ['cat', 'dog'])).toEqual(['a.png', 'b.png']);
    await expect(trainedOn('coco-panoptic', ['cow'])).rejects.toThrow(
      /has a segment of the classes/,
    );
  });
});
