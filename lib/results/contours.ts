/** Outlines of a mask along its pixel edges, as simple closed rings. */
import { breathe } from '../job.js';

/** [x, y] corners of pixels; the last point repeats the first. */
export type Ring = [number, number][];

/** An exterior ring and the holes inside it, of one 4-connected part of the mask. */
export interface Polygon {
  readonly exterior: Ring;
  readonly holes: readonly Ring[];
}

/** Directions of an edge: +x, +y, −x, −y. */
const STEP_X = [1, 0, -1, 0] as const;
const STEP_Y = [0, 1, 0, -1] as const;

/** Pixels handled between two breaths: a few milliseconds. */
const PIXELS_PER_BREATH = 1 << 17;

/**
 * Polygons of a mask: uint8 [height × width], 1 inside.
 * Exterior rings have positive shoelace area in (x, y), holes negative; no ring touches itself.
 */
export async function traceContours(
  mask: Uint8Array,
  width: number,
  height: number,
  signal?: AbortSignal,
): Promise<Polygon[]> {
  const parts = await labelParts(mask, width, height, signal);
  const edges = await outlineEdges(mask, width, height, signal);
  const exteriors = new Map<number, Ring>();
  const holes = new Map<number, Ring[]>();
  const stride = width + 1;
  let walked = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // Every ring runs along the top of some pixel, towards +x.
      while (((edges[y * stride + x] as number) & 1) !== 0) {
        const part = parts[y * width + x] as number;
        const trail = walkRing(edges, stride, x, y);
        walked += 8 * trail.length;
        for (const ring of splitRing(trail)) {
          if (ringArea(ring) > 0) exteriors.set(part, ring);
          else appendTo(holes, part, ring);
        }
      }
    }
    walked += width;
    if (walked > PIXELS_PER_BREATH) {
      walked = 0;
      await breathe(signal);
    }
  }
  return [...exteriors].map(([part, exterior]) => ({ exterior, holes: holes.get(part) ?? [] }));
}

function appendTo(holes: Map<number, Ring[]>, part: number, ring: Ring): void {
  const rings = holes.get(part);
  if (rings === undefined) holes.set(part, [ring]);
  else rings.push(ring);
}

/** Twice the signed area of a ring, positive when it turns from +x to +y. */
export function ringArea(ring: Ring): number {
  let area = 0;
  for (let i = 1; i < ring.length; i++) {
    const [x0, y0] = ring[i - 1] as [number, number];
    const [x1, y1] = ring[i] as [number, number];
    area += x0 * y1 - x1 * y0;
  }
  return area;
}

/** Number of the 4-connected part of each pixel, from 1 on; 0 outside. */
async function labelParts(
  mask: Uint8Array,
  width: number,
  height: number,
  signal: AbortSignal | undefined,
): Promise<Int32Array> {
  const parts = new Int32Array(mask.length);
  const stack = new Int32Array(mask.length);
  let part = 0;
  let work = 0;
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] === 0 || parts[start] !== 0) continue;
    parts[start] = ++part;
    stack[0] = start;
    for (let depth = 1; depth > 0; ) {
      const pixel = stack[--depth] as number;
      const x = pixel % width;
      const y = (pixel - x) / width;
      for (let direction = 0; direction < 4; direction++) {
        const toX = x + (STEP_X[direction] as number);
        const toY = y + (STEP_Y[direction] as number);
        const next = toY * width + toX;
        if (toX < 0 || toY < 0 || toX >= width || toY >= height) continue;
        if (mask[next] === 0 || parts[next] !== 0) continue;
        parts[next] = part;
        stack[depth++] = next;
      }
      if (++work % PIXELS_PER_BREATH === 0) await breathe(signal);
    }
  }
  return parts;
}

/** Bit d of a corner: an edge leaves it in direction d, with the mask on the side of +90°. */
async function outlineEdges(
  mask: Uint8Array,
  width: number,
  height: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const stride = width + 1;
  const edges = new Uint8Array(stride * (height + 1));
  for (let y = 0; y < height; y++) {
    if ((y * width) % PIXELS_PER_BREATH < width) await breathe(signal);
    for (let x = 0; x < width; x++) {
      const pixel = y * width + x;
      if (mask[pixel] === 0) continue;
      const corner = y * stride + x;
      if (y === 0 || mask[pixel - width] === 0) leave(edges, corner, 0);
      if (x === width - 1 || mask[pixel + 1] === 0) leave(edges, corner + 1, 1);
      if (y === height - 1 || mask[pixel + width] === 0) leave(edges, corner + stride + 1, 2);
      if (x === 0 || mask[pixel - 1] === 0) leave(edges, corner + stride, 3);
    }
  }
  return edges;
}

function leave(edges: Uint8Array, corner: number, direction: number): void {
  edges[corner] = (edges[corner] as number) | (1 << direction);
}

/**
 * Follows edges from a corner back to it, using them up; only corners where it turns are kept.
 * The start turns too: it is the first edge of its row, so none leads straight into it.
 */
function walkRing(edges: Uint8Array, stride: number, startX: number, startY: number): Ring {
  const ring: Ring = [];
  let x = startX;
  let y = startY;
  let direction = 0;
  let previous = -1;
  do {
    const corner = y * stride + x;
    if (direction !== previous) ring.push([x, y]);
    edges[corner] = (edges[corner] as number) & ~(1 << direction);
    x += STEP_X[direction] as number;
    y += STEP_Y[direction] as number;
    previous = direction;
    const leaving = edges[y * stride + x] as number;
    // Where two parts touch by a corner, turn so as to stay beside the same pixel.
    direction =
      [1, 0, 3].map((turn) => (previous + turn) % 4).find((d) => leaving & (1 << d)) ?? -1;
  } while (direction !== -1 && !(x === startX && y === startY));
  ring.push([startX, startY]);
  return ring;
}

/** Cuts a ring that visits a corner twice into rings that do not. */
function splitRing(ring: Ring): Ring[] {
  const rings: Ring[] = [];
  const open: Ring = [];
  const positions = new Map<string, number>();
  for (const point of ring) {
    const key = point.join();
    const since = positions.get(key);
    if (since !== undefined) {
      const loop = open.splice(since + 1);
      for (const corner of loop) positions.delete(corner.join());
      rings.push([point, ...loop, [...point]]);
      continue;
    }
    positions.set(key, open.length);
    open.push(point);
  }
  return rings;
}
