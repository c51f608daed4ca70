/** Resamples parts of images without a trip to another thread. */
import { breathe } from '../job.js';
import type { Window } from './augment.js';

/** Timers and input run after each so many pixels. */
const PIXELS_AT_ONCE = 1 << 16;

/** Where the samples of one output line come from, and how much each counts. */
interface Taps {
  readonly first: Int32Array;
  readonly count: number;
  /** [outputs, count], each row summing to 1. */
  readonly weights: Float32Array;
}

/** A triangle as wide as the larger of one input and one output pixel: antialiased bilinear. */
function triangleTaps(start: number, length: number, outputs: number): Taps {
  const scale = length / outputs;
  const reach = Math.max(1, scale);
  const count = Math.min(length, Math.ceil(2 * reach) + 1);
  const first = new Int32Array(outputs);
  const weights = new Float32Array(outputs * count);
  for (let out = 0; out < outputs; out++) {
    const centre = (out + 0.5) * scale - 0.5;
    const from = Math.min(length - count, Math.max(0, Math.ceil(centre - reach)));
    first[out] = start + from;
    let sum = 0;
    for (let tap = 0; tap < count; tap++) {
      const weight = Math.max(0, 1 - Math.abs(from + tap - centre) / reach);
      weights[out * count + tap] = weight;
      sum += weight;
    }
    for (let tap = 0; tap < count; tap++) {
      weights[out * count + tap] = (weights[out * count + tap] as number) / sum;
    }
  }
  return { first, count, weights };
}

/** The window of an RGB image: uint8, outHeight × outWidth × 3. */
export async function resampleRgb(
  rgb: Uint8Array,
  imageWidth: number,
  window: Window,
): Promise<Uint8Array> {
  const { left, top, width, height, outWidth, outHeight } = window;
  const linesAtOnce = Math.ceil(PIXELS_AT_ONCE / outWidth);
  const columns = triangleTaps(left, width, outWidth);
  const rows = triangleTaps(top, height, outHeight);
  const narrow = new Float32Array(height * outWidth * 3);
  for (let y = 0; y < height; y++) {
    if (y % linesAtOnce === linesAtOnce - 1) await breathe();
    const line = (top + y) * imageWidth * 3;
    for (let x = 0; x < outWidth; x++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      let at = line + (columns.first[x] as number) * 3;
      for (let tap = x * columns.count; tap < (x + 1) * columns.count; tap++, at += 3) {
        const weight = columns.weights[tap] as number;
        red += weight * (rgb[at] as number);
        green += weight * (rgb[at + 1] as number);
        blue += weight * (rgb[at + 2] as number);
      }
      const to = (y * outWidth + x) * 3;
      narrow[to] = red;
      narrow[to + 1] = green;
      narrow[to + 2] = blue;
    }
  }
  const out = new Uint8Array(outHeight * outWidth * 3);
  const stride = outWidth * 3;
  for (let y = 0; y < outHeight; y++) {
    if (y % linesAtOnce === linesAtOnce - 1) await breathe();
    const from = ((rows.first[y] as number) - top) * stride;
    for (let at = 0; at < stride; at++) {
      let sum = 0;
      for (let tap = 0; tap < rows.count; tap++) {
        const weight = rows.weights[y * rows.count + tap] as number;
        sum += weight * (narrow[from + tap * stride + at] as number);
      }
      out[y * stride + at] = sum + 0.5;
    }
  }
  return out;
}

/** The window of a map of ids, each output pixel taking the nearest one. */
export function resampleIds<Ids extends Int32Array | Uint32Array | Uint16Array | Uint8Array>(
  ids: Ids,
  imageWidth: number,
  window: Window,
  out: Ids,
): Ids {
  const { left, top, width, height, outWidth, outHeight } = window;
  const columns = Int32Array.from(
    { length: outWidth },
    (_, x) => left + Math.floor(((x + 0.5) * width) / outWidth),
  );
  for (let y = 0; y < outHeight; y++) {
    const line = (top + Math.floor(((y + 0.5) * height) / outHeight)) * imageWidth;
    for (let x = 0; x < outWidth; x++) {
      out[y * outWidth + x] = ids[line + (columns[x] as number)] as number;
    }
  }
  return out;
}
