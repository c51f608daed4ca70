/** One region of an image as training on masked crops takes it: its box, the rest one colour. */
import sharp from 'sharp';
import type { DecodedImage } from '../image.js';
import { type PlaceGrid, spread } from '../results/heat-map.js';

/** What stands for "not this region"; training tells blank pixels by it (arXiv 2210.04150, sec. 3.3). */
const BLANK: readonly [number, number, number] = [124, 116, 103];

/**
 * PNG of the region's box: lossless, or blank pixels would be blank no more. Undefined when no pixel
 * is inside.
 *
 * @param mask logits of one mask
 * @param threshold probability above which a pixel is inside, (0, 1)
 */
export async function maskedCrop(
  image: DecodedImage,
  mask: PlaceGrid,
  threshold: number,
): Promise<Buffer | undefined> {
  const logits = await spread(mask, image);
  const least = Math.log(threshold / (1 - threshold));
  const box = boxOf(logits, image.width, least);
  if (box === undefined) return undefined;
  const { left, top, right, bottom } = box;
  const [width, height] = [right - left + 1, bottom - top + 1];
  const rgb = Buffer.allocUnsafe(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (top + y) * image.width + left + x;
      const inside = (logits[from] as number) > least;
      for (let c = 0; c < 3; c++) {
        rgb[3 * (y * width + x) + c] = inside
          ? (image.rgb[3 * from + c] as number)
          : (BLANK[c] as number);
      }
    }
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

function boxOf(
  logits: Float32Array,
  width: number,
  least: number,
): { left: number; top: number; right: number; bottom: number } | undefined {
  let [left, top, right, bottom] = [width, -1, -1, -1];
  for (let at = 0; at < logits.length; at++) {
    if (!((logits[at] as number) > least)) continue;
    const x = at % width;
    const y = (at - x) / width;
    if (top < 0) top = y;
    bottom = y;
    if (x < left) left = x;
    if (x > right) right = x;
  }
  return top < 0 ? undefined : { left, top, right, bottom };
}
