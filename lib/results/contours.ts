/** Outlines of a mask along its pixel edges, as simple closed rings. */

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

/**
 * Polygons of the pixels where `inside` holds, in a window of width × height pixels.
 * Exterior rings have positive shoelace area in (x, y), holes negative; no ring touches itself.
 */
export function traceContours(
  width: number,
  height: number,
  inside: (x: number, y: number) => boolean,
): Polygon[] {
  const mask = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) mask[y * width + x] = Number(inside(x, y));
  }
  const parts = labelParts(mask, width, height);
  const edges = outlineEdges(mask, width, height);
  const exteriors = new Map<number, Ring>();
  const holes = new Map<number, Ring[]>();
  const stride = width + 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // Every ring runs along the top of some pixel, towards +x.
      while (((edges[y * stride + x] as number) & 1) !== 0) {
        const part = parts[y * width + x] as number;
        for (const ring of splitRing(walkRing(edges, stride, x, y))) {
          if (ringArea(ring) > 0) exteriors.set(part, ring);
          else holes.set(part, [...(holes.get(part) ?? []), ring]);
        }
      }
    }
  }
  return [...exteriors].map(([part, exterior]) => ({ exterior, holes: holes.get(part) ?? [] }));
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
function labelParts(mask: Uint8Array, width: number, height: number): Int32Array {
  const parts = new Int32Array(mask.length);
  const stack: number[] = [];
  let part = 0;
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] === 0 || parts[start] !== 0) continue;
    parts[start] = ++part;
    stack.push(start);
    while (stack.length > 0) {
      const pixel = stack.pop() as number;
      const x = pixel % width;
      const y = (pixel - x) / width;
      const visit = (next: number): void => {
        if (mask[next] === 0 || parts[next] !== 0) return;
        parts[next] = part;
        stack.push(next);
      };
      if (x > 0) visit(pixel - 1);
      if (x < width - 1) visit(pixel + 1);
      if (y > 0) visit(pixel - width);
      if (y < height - 1) visit(pixel + width);
    }
  }
  return parts;
}

/** Bit d of a corner: an edge leaves it in direction d, with the mask on the side of +90°. */
function outlineEdges(mask: Uint8Array, width: number, height: number): Uint8Array {
  const stride = width + 1;
  const edges = new Uint8Array(stride * (height + 1));
  const at = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  const leave = (x: number, y: number, direction: number): void => {
    edges[y * stride + x] = (edges[y * stride + x] as number) | (1 << direction);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (mask[y * width + x] === 0) continue;
      if (!at(x, y - 1)) leave(x, y, 0);
      if (!at(x + 1, y)) leave(x + 1, y, 1);
      if (!at(x, y + 1)) leave(x + 1, y + 1, 2);
      if (!at(x - 1, y)) leave(x, y + 1, 3);
    }
  }
  return edges;
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
