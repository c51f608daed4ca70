/** Images of data sets as pixels. */
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { resampleRgb } from '../../lib/data/resample.js';
import { openImage } from '../../lib/data/window-pixels.js';

it('are sRGB where a file has 16 bits and a colour profile', async () => {
  const deep = Uint16Array.from([65535, 0, 0, 0, 65535, 0]);
  const png = await sharp(deep, { raw: { width: 2, height: 1, channels: 3 } })
    .toColourspace('rgb16')
    .withIccProfile('srgb')
    .png()
    .toBuffer();
  const image = await openImage(png, 'deep.png');
  const all = { left: 0, top: 0, width: 2, height: 1, outWidth: 2, outHeight: 1 };
  const pixels = [...(await image.pixels(all))];
  [255, 0, 0, 0, 255, 0].forEach((want, at) => {
    expect(Math.abs((pixels[at] ?? -9) - want)).toBeLessThanOrEqual(1);
  });
});

const WIDTH = 640;
const HEIGHT = 480;
/** Waves of about thirty pixels and fine noise. */
const rgb = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, at) => {
  const [x, y] = [Math.floor(at / 3) % WIDTH, Math.floor(at / 3 / WIDTH)];
  const wave = Math.sin(x / 5 + (at % 3)) * Math.cos(y / 7);
  return 128 + 90 * wave + ((x * 31 + y * 17) % 37);
});
const raw = { width: WIDTH, height: HEIGHT, channels: 3 as const };

it.each([
  [300, 225],
  [160, 200],
])('are %i × %i as smaller ones are: linear', async (outWidth, outHeight) => {
  const image = await openImage(await sharp(rgb, { raw }).png().toBuffer(), 'waves.png');
  const window = { left: 37, top: 5, width: 520, height: 470, outWidth, outHeight };
  const pixels = await image.pixels(window);
  const expected = await resampleRgb(rgb, WIDTH, window);
  const off = pixels.reduce(
    (sum, value, at) => sum + Math.abs(value - (expected[at] as number)),
    0,
  );
  // Cubic ones are off by 0.8 and more.
  expect(off / pixels.length).toBeLessThan(0.5);
});

it.each([
  [2, 2],
  [3, 3],
  [1.5, 1],
])('stay where they are when they are made larger %f and %f times', async (byWidth, byHeight) => {
  const side = 200;
  const halves = Uint8Array.from({ length: side * side * 3 }, (_, at) =>
    Math.floor(at / 3) % side < side / 2 ? 0 : 255,
  );
  const own = { width: side, height: side, channels: 3 as const };
  const image = await openImage(await sharp(halves, { raw: own }).png().toBuffer(), 'halves.png');
  const outWidth = side * byWidth;
  const window = { left: 0, top: 0, width: side, height: side, outWidth };
  const pixels = await image.pixels({ ...window, outHeight: side * byHeight });
  const row = Array.from({ length: outWidth }, (_, x) => pixels[3 * x] as number);
  // The edge is in the middle: read from the right, black is white.
  const sums = row.map((value, x) => value + (row[outWidth - 1 - x] as number));
  for (const sum of sums) expect(Math.abs(sum - 255)).toBeLessThanOrEqual(1);
});
