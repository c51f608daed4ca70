/** COCO instances: the three forms of a mask, objects that overlap, and broken ones. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { polygonRuns } from '../../lib/data/coco-polygon.js';
import { openDataset } from '../../lib/index.js';
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

function write(annotations: object[]): void {
  const json = {
    images: [{ id: 3, file_name: 'a.jpg', width: 8, height: 5 }],
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
    write([{ segmentation: [[-9, -9, 99, -9, 99, 99, -9, 99]] }]);
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
