/** Windows of decoded images: bounded in number and in bytes, in order, proposals between them. */
import { describe, expect, it } from 'vitest';
import type { ImageInput } from '../../lib/image.js';
import { decodedWindows } from '../../lib/inference/image-batch.js';
import { LIMITS } from '../../lib/options.js';

/** The places of the images in each window. */
async function windowsOf(images: readonly ImageInput[], batchSize: number): Promise<number[][]> {
  const windows: number[][] = [];
  const plan = { batchSize, copy: 'never', signal: undefined } as const;
  for await (const { start, end, slots } of decodedWindows(images, plan)) {
    const places = slots.map(({ index }) => index);
    expect(places).toEqual(Array.from({ length: end - start }, (_, i) => start + i));
    windows.push(places);
  }
  return windows;
}

describe('decodedWindows', () => {
  it('hold four batches of small images, and one image where a batch is one', async () => {
    const small = { data: new Uint8Array(3), width: 1, height: 1 };
    const images = Array.from({ length: 10 }, () => small);
    const sizes = async (batchSize: number) =>
      (await windowsOf(images, batchSize)).map(({ length }) => length);
    expect(await sizes(2)).toEqual([8, 2]);
    expect(await sizes(1)).toEqual(new Array(10).fill(1));
    expect(await windowsOf([], 2)).toEqual([]);
  });

  it('end when their images fill the room that there is, whatever the batch', async () => {
    const side = 4096;
    // Lent, so that all images are the same memory.
    const data = new Uint8Array(side * side * 3);
    const images = Array.from({ length: 13 }, () => ({ data, width: side, height: side }));
    const most = Math.ceil(LIMITS.windowBytes / data.byteLength);
    const windows = await windowsOf(images, LIMITS.batchSize);
    expect(windows.map(({ length }) => length)).toEqual([most, most, 13 - 2 * most]);
    expect(windows.flat()).toEqual(images.map((_, index) => index));
  });
});
