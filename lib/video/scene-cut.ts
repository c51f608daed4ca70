/** Where a video cuts to another scene: the colours of a frame are not those of the one before. */
import type { DecodedImage } from '../image.js';

/** Levels of each colour. */
const LEVELS = 8;
/** Pixels looked at, about. */
const SAMPLES = 20_000;

/** Share of pixels in each of LEVELS³ colours. */
export function colourHistogram({ rgb, width, height }: DecodedImage): Float32Array {
  const histogram = new Float32Array(LEVELS ** 3);
  const pixels = width * height;
  const step = Math.max(1, Math.floor(pixels / SAMPLES));
  const levelAt = (at: number): number => ((rgb[at] as number) * LEVELS) >> 8;
  let count = 0;
  for (let pixel = 0; pixel < pixels; pixel += step, count++) {
    const at = 3 * pixel;
    const bin = (levelAt(at) * LEVELS + levelAt(at + 1)) * LEVELS + levelAt(at + 2);
    histogram[bin] = (histogram[bin] as number) + 1;
  }
  return histogram.map((hits) => hits / count);
}

/** Share of pixels whose colour the other frame does not have, 0 to 1. */
export function colourChange(one: Float32Array, other: Float32Array): number {
  let common = 0;
  for (let bin = 0; bin < one.length; bin++) {
    common += Math.min(one[bin] as number, other[bin] as number);
  }
  // Equal frames may differ by what rounding leaves.
  return Math.max(0, 1 - common);
}
