/** Masks as COCO writes them: polygons, run lengths in figures, run lengths as text. */
import { callNative } from '../job.js';
import { native } from '../native.js';
import type { Fields } from './annotation-file.js';
import { polygonRuns } from './coco-polygon.js';

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
    const finite = corners.every((one) => typeof one === 'number' && Math.abs(one) < 1e6);
    if (corners.length < 6 || corners.length % 2 === 1 || !finite) {
      const place = `segmentation[${index}]`;
      annotation.fail(place, 'is no polygon of three or more corners', polygon);
    }
    return polygonRuns(corners as number[], width, height);
  });
  if (parts.length === 0) annotation.fail('segmentation', 'has no polygon', polygons);
  return parts.length === 1 ? (parts[0] as Uint32Array) : unionOf(parts, width * height);
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
