/** COCO instances: the three forms of a mask, objects that overlap, and broken ones. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { polygonRuns } from '../../lib/data/coco-polygon.js';
import type { SegmentationDataset, Truth } from '../../lib/data/segmentation-dataset.js';
import { checkDataset, openDataset, panopticData, type Tensor } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';

let root: string;
beforeEach(async () => {
  root = temporaryFolder();
  mkdirSync(join(root, 'images'));
  const create = { width: 8, height: 5, channels: 3 as const, background: 'white' };
  await sharp({ create }).toFile(join(root, 'images', 'a.jpg'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const SQUARE = [1, 1, 5, 1, 5, 4, 1, 4];

const IMAGE = { id: 3, file_name: 'a.jpg', width: 8, height: 5 };

function write(annotations: object[], images: object[] = [IMAGE]): void {
  const json = {
    images,
    categories: [
      { id: 1, name: 'cat' },
      { id: 2, name: 'dog' },
    ],
    annotations: annotations.map((one, id) => ({ id, image_id: 3, category_id: 1, ...one })),
  };
  writeFiles(root, { 'instances.json': JSON.stringify(json) });
}

/** Rows of the map of ids, a digit for each pixel. */
async function drawn(): Promise<string[]> {
  const dataset = await openDataset('coco-instance', root);
  const { ids, width } = await dataset.truth(0);
  const rows = ids.length / width;
  return Array.from({ length: rows }, (_, y) => ids.subarray(y * width, (y + 1) * width).join(''));
}

const EXPECTED = ['00000000', '01111000', '01111000', '01111000', '00000000'];

describe('masks of COCO instances', () => {
  it('reads a polygon, and corners outside the image', async () => {
    write([{ segmentation: [SQUARE] }]);
    expect(await drawn()).toEqual(EXPECTED);
    write([{ segmentation: [[-8, -5, 16, -5, 16, 10, -8, 10]] }]);
    expect(new Set((await drawn()).join(''))).toEqual(new Set(['1']));
  });

  it('joins polygons that overlap', async () => {
    const left = [1, 1, 4, 1, 4, 4, 1, 4];
    write([{ segmentation: [left, [2, 1, 5, 1, 5, 4, 2, 4]] }]);
    expect(await drawn()).toEqual(EXPECTED);
  });

  it('reads run lengths as figures and as text', async () => {
    const counts = [6, 3, 2, 3, 2, 3, 2, 3, 16];
    write([{ segmentation: { size: [5, 8], counts }, iscrowd: 1 }]);
    expect(await drawn()).toEqual(EXPECTED);
    const text = native().rleToString(Uint32Array.from(counts));
    write([{ segmentation: { size: [5, 8], counts: text } }]);
    expect(await drawn()).toEqual(EXPECTED);
  });

  it('puts the smaller of two objects in front, and keeps both whole', async () => {
    write([
      { segmentation: [[2, 2, 4, 2, 4, 3, 2, 3]], category_id: 2 },
      { segmentation: [SQUARE] },
    ]);
    expect((await drawn())[2]).toBe('02112000');
    const dataset = await openDataset('coco-instance', root);
    const { objects } = await dataset.truth(0);
    expect(objects?.map(({ area, classIndex }) => [classIndex, area])).toEqual([
      [1, 2],
      [0, 12],
    ]);
  });

  const broken: [what: string, segmentation: unknown, message: RegExp][] = [
    ['two corners', [[0, 0, 1, 1]], /segmentation\[0\] is no polygon/],
    ['a figure that is none', [[0, 0, 1, 1, 'x', 2]], /segmentation\[0\] is no polygon/],
    ['no polygon', [], /has no polygon/],
    [
      'a corner far outside the image',
      [SQUARE, [0, 0, 16, 0, 16, 11]],
      /json:\d+:\d+: annotations\[0\]\.segmentation\[1\]\[5\] is more than a side of the image out/,
    ],
    [
      'an edge that could fill the memory',
      [Array.from({ length: 1_000_000 }, (_, i) => (i % 4 === 0 ? 16 : 0))],
      /segmentation\[0\] has an edge above 4000000 pixels \(8000000\)/,
    ],
    ['another size', { size: [8, 5], counts: [40] }, /segmentation\.size is not that of the image/],
    ['too few pixels', { size: [5, 8], counts: [3, 3] }, /covers 6 of 40 pixels/],
    ['runs below zero', { size: [5, 8], counts: [50, -10] }, /is no list of lengths/],
    ['neither', 'abc', /is neither polygons nor run lengths/],
  ];
  it.each(broken)('refuses %s', async (_, segmentation, message) => {
    write([{ segmentation }]);
    const dataset = await openDataset('coco-instance', root);
    await expect(dataset.truth(0)).rejects.toThrow(message);
  });
});

describe('polygonRuns', () => {
  it('covers exactly the pixels for any polygon', () => {
    for (let seed = 1; seed < 200; seed++) {
      const corners = Array.from({ length: 6 + 2 * (seed % 5) }, (_, i) => {
        const noise = Math.sin(seed * 12.9898 + i * 78.233) * 43758.5453;
        return (noise - Math.floor(noise)) * 40 - 5;
      });
      const runs = polygonRuns(corners, 31, 23);
      expect(runs.reduce((sum, run) => sum + run, 0)).toBe(31 * 23);
      expect(runs.subarray(1).every((run) => run > 0)).toBe(true);
    }
  });
});

describe('checkDataset', () => {
  it('lists images of a size that no image has, and goes on', async () => {
    const sizes = [
      { width: 1_000_000, height: 1_000_000 },
      { width: 20_000, height: 20_000 },
    ];
    const images = sizes.map((size, i) => ({ ...IMAGE, id: i, ...size }));
    write([{ segmentation: [SQUARE] }], [...images, IMAGE]);
    const { problems, images: count } = await checkDataset('coco-instance', root);
    expect(problems).toEqual([
      expect.stringMatching(/images\[0\]\.width is above 32768 \(1000000\)/),
      expect.stringMatching(
        /images\[1\]\.width times height is above 100000000 pixels \(400000000\)/,
      ),
    ]);
    expect(count).toBe(1);
  });

  it('lists every object that is wrong, and counts the others', async () => {
    write([
      { segmentation: [[0, 0, 1, 1]] },
      { segmentation: [SQUARE] },
      { segmentation: [SQUARE], category_id: 9 },
      { segmentation: 'abc' },
    ]);
    writeFiles(root, { 'images/a.jpg': 'no picture' });
    const { problems, segments } = await checkDataset('coco-instance', root);
    expect(problems).toEqual([
      expect.stringMatching(/annotations\[0\]\.segmentation\[0\] is no polygon/),
      expect.stringMatching(/annotations\[2\]\.category_id is no category \(9\)/),
      expect.stringMatching(/annotations\[3\]\.segmentation is neither polygons/),
      expect.stringMatching(/a\.jpg: cannot be decoded/),
    ]);
    expect(segments).toBe(1);
  });
});

describe('training on COCO instances', () => {
  const SIDE = 40;
  const SIZE = { width: SIDE, height: SIDE };
  const square = (left: number, top: number, side: number): number[] => {
    const [right, bottom] = [left + side, top + side];
    return [left, top, right, top, right, bottom, left, bottom];
  };

  async function dataset(annotations: object[]): Promise<SegmentationDataset> {
    const create = { ...SIZE, channels: 3 as const, background: 'white' };
    await sharp({ create }).toFile(join(root, 'images', 'b.png'));
    write(annotations, [{ ...SIZE, id: 3, file_name: 'b.png' }]);
    return openDataset('coco-instance', root);
  }

  /** Masks, as lists of 0 and 1, and labels of a batch of one image for each seed. */
  async function trainedOn(data: SegmentationDataset, seeds: number, options = {}) {
    const classes = data.classes.map(({ name }) => name);
    const source = panopticData(data, { batchSize: 1, imageSize: SIZE, classes, ...options });
    const seen: { labels: number[]; masks: string[] }[] = [];
    for (let seed = 0; seed < seeds; seed++) {
      for await (const { inputs } of source.batches({ start: 0, seed, rank: 0, worldSize: 1 })) {
        const { labels, masks } = inputs as Record<'labels' | 'masks', Tensor>;
        const numbers = [...labels.data].map(Number);
        const area = SIDE * SIDE;
        const of = (i: number) =>
          (masks.data as Uint8Array).slice(i * area, (i + 1) * area).join('');
        seen.push({ labels: numbers, masks: numbers.map((_, i) => of(i)) });
        for (const tensor of Object.values(inputs)) tensor.dispose();
        break;
      }
    }
    return seen;
  }

  const filled = (left: number, top: number, side: number): string =>
    Array.from({ length: SIDE * SIDE }, (_, at) => {
      const [x, y] = [at % SIDE, Math.floor(at / SIDE)];
      return x >= left && x < left + side && y >= top && y < top + side ? 1 : 0;
    }).join('');

  it('keeps objects whole where others overlap, cover or crowd them', async () => {
    const data = await dataset([
      { segmentation: [square(4, 6, 20)] },
      { segmentation: [square(16, 10, 12)], category_id: 2 },
      { segmentation: [square(6, 8, 3)], area: 999 },
      { segmentation: [square(14, 8, 15)], iscrowd: 1, area: 1 },
    ]);
    const [seen] = await trainedOn(data, 1, { scale: [1, 1], flip: 0 });
    expect(seen?.labels).toEqual([0, 1, 0]);
    expect(seen?.masks).toEqual([filled(4, 6, 20), filled(16, 10, 12), filled(6, 8, 3)]);
  });

  it('cuts, scales and mirrors them as it does the map of ids', async () => {
    const data = await dataset([
      { segmentation: [square(2, 3, 17)] },
      { segmentation: [[21, 2, 38, 9, 30, 37, 24.5, 20]], category_id: 2 },
      { segmentation: [square(5, 25, 1)] },
    ]);
    const flat: SegmentationDataset = {
      ...data,
      truth: async (index): Promise<Truth> => ({
        ...(await data.truth(index)),
        objects: undefined,
      }),
    };
    const seen = await trainedOn(data, 60);
    expect(seen).toEqual(await trainedOn(flat, 60));
    const counts = new Set(seen.map(({ labels }) => labels.length));
    expect([...counts].sort()).toEqual(expect.arrayContaining([2, 3]));
  });
});
