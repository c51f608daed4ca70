/** Masks as COCO writes them: polygons, run lengths in figures, run lengths as text. */
import { callNative } from '../job.js';
import { native } from '../native.js';
import type { Size } from '../options.js';
import type { Fields } from './annotation-file.js';
import type { Window } from './augment.js';
import { polygonRuns } from './coco-polygon.js';
import { resampleIds } from './resample.js';

/** Every step along a polygon's edge takes memory, whatever the image's size. */
const MOST_EDGE = 4_000_000;

/**
 * Run lengths (column-major, zeros first) of an annotation's `segmentation`.
 *
 * @throws LexisegError `ERR_DATA` with the file and place when it is none of the three forms, or
 *   of another size than the image.
 */
export function readMask(annotation: Fields, width: number, height: number): Uint32Array {
  const value = annotation.raw('segmentation');
  if (Array.isArray(value)) return readPolygons(annotation, value, width, height);
  if (value === null || typeof value !== 'object') {
    return annotation.fail('segmentation', 'is neither polygons nor run lengths', value);
  }
  const { size, counts } = value as { size?: unknown; counts?: unknown };
  if (!Array.isArray(size) || size[0] !== height || size[1] !== width) {
    annotation.fail('segmentation.size', `is not that of the image, [${height}, ${width}]`, size);
  }
  const runs = readCounts(annotation, counts);
  const pixels = runs.reduce((sum, run) => sum + run, 0);
  if (pixels !== width * height) {
    const place = 'segmentation.counts';
    annotation.fail(place, `covers ${pixels} of ${width * height} pixels`, counts);
  }
  return runs;
}

function readCounts(annotation: Fields, counts: unknown): Uint32Array {
  if (Array.isArray(counts) && counts.every((run) => Number.isSafeInteger(run) && run >= 0)) {
    return Uint32Array.from(counts);
  }
  if (typeof counts !== 'string') {
    return annotation.fail('segmentation.counts', 'is no list of lengths and no text', counts);
  }
  try {
    return callNative(() => native().rleFromString(counts));
  } catch (cause) {
    return annotation.fail('segmentation.counts', (cause as Error).message, counts);
  }
}

function readPolygons(
  annotation: Fields,
  polygons: readonly unknown[],
  width: number,
  height: number,
): Uint32Array {
  const parts = polygons.map((polygon, index) => {
    const corners = Array.isArray(polygon) ? polygon : [];
    const place = `segmentation[${index}]`;
    if (corners.length < 6 || corners.length % 2 === 1 || !corners.every(Number.isFinite)) {
      annotation.fail(place, 'is no polygon of three or more corners', polygon);
    }
    const outside = corners.findIndex((one, i) => isFar(one, i % 2 === 0 ? width : height));
    if (outside >= 0) {
      const reason = 'is more than a side of the image outside it';
      annotation.fail(`${place}[${outside}]`, reason, corners[outside]);
    }
    const edge = edgeLength(corners);
    if (edge > MOST_EDGE) annotation.fail(place, `has an edge above ${MOST_EDGE} pixels`, edge);
    return polygonRuns(corners, width, height);
  });
  if (parts.length === 0) annotation.fail('segmentation', 'has no polygon', polygons);
  return parts.length === 1 ? (parts[0] as Uint32Array) : unionOf(parts, width * height);
}

const isFar = (coordinate: number, side: number): boolean =>
  coordinate < -side || coordinate > 2 * side;

/** All the way around, each edge as long as its longer part along an axis. */
function edgeLength(corners: readonly number[]): number {
  let [x, y] = corners.slice(-2) as [number, number];
  let length = 0;
  for (let i = 0; i < corners.length; i += 2) {
    const [nextX, nextY] = [corners[i] as number, corners[i + 1] as number];
    length += Math.max(Math.abs(nextX - x), Math.abs(nextY - y));
    [x, y] = [nextX, nextY];
  }
  return length;
}

/** The pixels inside any. */
function unionOf(parts: readonly Uint32Array[], pixels: number): Uint32Array {
  const inside = new Uint8Array(pixels + 1);
  for (const runs of parts) forEachRun(runs, (start, end) => inside.fill(1, start, end));
  const runs: number[] = [];
  let start = 0;
  for (let at = 0; at <= pixels; at++) {
    const value = runs.length % 2;
    if (at < pixels && inside[at] === value) continue;
    runs.push(at - start);
    start = at;
  }
  return Uint32Array.from(runs);
}

/** Visits the stretches inside, as [start, end) of the column-major mask. */
export function forEachRun(runs: Uint32Array, visit: (start: number, end: number) => void): void {
  let at = 0;
  for (const [index, run] of runs.entries()) {
    if (index % 2 === 1 && run > 0) visit(at, at + run);
    at += run;
  }
}

/** A rectangle of pixels, right and bottom not in it. */
export interface Patch {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/**
 * Where a mask shows in a window of its image, as patches of output pixels: exactly those for which
 * `resampleIds` takes a pixel inside.
 */
export function patchesOf(runs: Uint32Array, { width, height }: Size, window: Window): Patch[] {
  const row = { ...window, top: 0, height: 1, outHeight: 1 };
  const column = { ...window, left: 0, width: 1, outWidth: 1 };
  const sourceX = resampleIds(upTo(width), width, row, new Uint32Array(window.outWidth));
  const sourceY = resampleIds(upTo(height), 1, column, new Uint32Array(window.outHeight));
  const xs = firstTakers(sourceX, width);
  const ys = firstTakers(sourceY, height);
  const patches: Patch[] = [];
  forEachRun(runs, (start, end) => {
    for (let at = start; at < end; ) {
      const x = Math.floor(at / height);
      const next = Math.min(end, (x + 1) * height);
      const [left, right] = [xs[x] as number, xs[x + 1] as number];
      const [top, bottom] = [ys[at - x * height] as number, ys[next - x * height] as number];
      if (left < right && top < bottom) patches.push({ left, top, right, bottom });
      at = next;
    }
  });
  return patches;
}

const upTo = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => i);

/** For each of `count` places, and the end, the first output that takes it or a later one. */
function firstTakers(sources: Uint32Array, count: number): Uint32Array {
  const first = new Uint32Array(count + 1);
  let output = 0;
  for (let place = 0; place <= count; place++) {
    while (output < sources.length && (sources[output] as number) < place) output++;
    first[place] = output;
  }
  return first;
}
