/** Images of data sets as pixels. */
import sharp from 'sharp';
import { expect, it } from 'vitest';
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
