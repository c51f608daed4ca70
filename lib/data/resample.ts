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
  const count = Math.min(length, Math.ceil(2 * reach));
  const first = new Int32Array(outputs);
  const weights = new Float32Array(outputs * count);
  for (let out = 0; out < outputs; out++) {
    const centre = (out + 0.5) * scale - 0.5;
    const from = Math.min(length - count, Math.max(0, Math.floor(centre - reach) + 1));
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
  const stride = outWidth * 3;
  const narrow = new Float32Array(height * stride);
  for (let y = 0; y < height; y++) {
    if (y % linesAtOnce === linesAtOnce - 1) await breathe();
    squeezeLine(rgb, (top + y) * imageWidth * 3, columns, narrow, y * stride);
  }
  const out = new Uint8Array(outHeight * stride);
  for (let y = 0; y < outHeight; y++) {
    if (y % linesAtOnce === linesAtOnce - 1) await breathe();
    const from = ((rows.first[y] as number) - top) * stride;
    const weights = rows.weights.subarray(y * rows.count, (y + 1) * rows.count);
    blendLines(narrow, from, weights, out.subarray(y * stride, (y + 1) * stride));
  }
  return out;
}

// Two taps, those of all that is not made smaller, take a third of the time without inner loops.

/** One line of an RGB image at its new width. */
function squeezeLine(
  rgb: Uint8Array,
  line: number,
  { first, count, weights }: Taps,
  out: Float32Array,
  start: number,
): void {
  for (let x = 0, to = start; x < first.length; x++, to += 3) {
    const at = line + (first[x] as number) * 3;
    if (count === 2) {
      const one = weights[2 * x] as number;
      const other = weights[2 * x + 1] as number;
      out[to] = one * (rgb[at] as number) + other * (rgb[at + 3] as number);
      out[to + 1] = one * (rgb[at + 1] as number) + other * (rgb[at + 4] as number);
      out[to + 2] = one * (rgb[at + 2] as number) + other * (rgb[at + 5] as number);
      continue;
    }
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let tap = 0; tap < count; tap++) {
      const weight = weights[x * count + tap] as number;
      red += weight * (rgb[at + 3 * tap] as number);
      green += weight * (rgb[at + 3 * tap + 1] as number);
      blue += weight * (rgb[at + 3 * tap + 2] as number);
    }
    out[to] = red;
    out[to + 1] = green;
    out[to + 2] = blue;
  }
}

/** Lines that begin at `from`, each as long as `out`, by their weights; rounded. */
function blendLines(
  lines: Float32Array,
  from: number,
  weights: Float32Array,
  out: Uint8Array,
): void {
  const stride = out.length;
  if (weights.length === 2) {
    const one = weights[0] as number;
    const other = weights[1] as number;
    for (let at = 0; at < stride; at++) {
      const above = lines[from + at] as number;
      out[at] = one * above + other * (lines[from + stride + at] as number) + 0.5;
    }
    return;
  }
  for (let at = 0; at < stride; at++) {
    let sum = 0.5;
    for (let tap = 0; tap < weights.length; tap++) {
      sum += (weights[tap] as number) * (lines[from + tap * stride + at] as number);
    }
    out[at] = sum;
  }
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
