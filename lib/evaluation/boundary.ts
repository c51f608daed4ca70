/** Boundaries of masks and their IoU (Boundary IoU, Cheng et al. 2021). */
import type { Truth } from '../data/segmentation-dataset.js';

/** Width of the boundary for an image, pixels: 2 % of the diagonal, a half to even, at least 1. */
export function boundaryWidth(width: number, height: number): number {
  const share = 0.02 * Math.sqrt(width ** 2 + height ** 2);
  const below = Math.floor(share);
  // The authors' code rounds as Python does.
  const rounded = share - below === 0.5 ? below + (below % 2) : Math.round(share);
  return Math.max(1, rounded);
}

/**
 * Boundary IoU of any segment of a map with any true one. What is found in void does not count.
 *
 * @param map segment id of each pixel, of the truth's size
 */
export function boundaryIouOf(
  map: Int32Array,
  { ids, segments, width, height }: Truth,
): (id: number, trueId: number) => number {
  const distance = boundaryWidth(width, height);
  const known = new Set(segments.map(({ id }) => id));
  const labelled = Uint8Array.from(ids, (id) => (known.has(id) ? 1 : 0));
  const edge = (all: Int32Array | Uint32Array, id: number): Uint8Array =>
    boundaryOf(maskOf(all, id), width, height, distance);
  return (id, trueId) => {
    const found = edge(map, id).map((inside, at) => inside & (labelled[at] as number));
    return maskIou(found, edge(ids, trueId));
  };
}

function maskOf(ids: Int32Array | Uint32Array, id: number): Uint8Array {
  const mask = new Uint8Array(ids.length);
  for (let at = 0; at < ids.length; at++) if (ids[at] === id) mask[at] = 1;
  return mask;
}

/**
 * The pixels of a mask that a 3×3 erosion, done `distance` times, takes away; beyond the image is
 * background.
 *
 * @param mask 0 or 1, row-major
 */
export function boundaryOf(
  mask: Uint8Array,
  width: number,
  height: number,
  distance: number,
): Uint8Array {
  // Eroding by a square is eroding by a row, then by a column.
  const byRows = erodeLines(
    mask,
    { lines: height, length: width, step: 1, stride: width },
    distance,
  );
  const eroded = erodeLines(
    byRows,
    { lines: width, length: height, step: width, stride: 1 },
    distance,
  );
  return mask.map((inside, at) => (inside === 1 && eroded[at] === 0 ? 1 : 0));
}

interface Lines {
  readonly lines: number;
  readonly length: number;
  /** From one pixel of a line to the next. */
  readonly step: number;
  /** From one line to the next. */
  readonly stride: number;
}

/** Keeps a pixel when all within `distance` of it along the line are inside. */
function erodeLines(mask: Uint8Array, shape: Lines, distance: number): Uint8Array {
  const out = new Uint8Array(mask.length);
  for (let line = 0; line < shape.lines; line++) {
    const start = line * shape.stride;
    let run = 0;
    for (let at = 0; at <= shape.length; at++) {
      if (at < shape.length && mask[start + at * shape.step] === 1) {
        run++;
        continue;
      }
      for (let i = at - run + distance; i < at - distance; i++) out[start + i * shape.step] = 1;
      run = 0;
    }
  }
  return out;
}

/** IoU of two masks of 0 and 1; 0 when both are empty. */
export function maskIou(a: Uint8Array, b: Uint8Array): number {
  let both = 0;
  let either = 0;
  for (let at = 0; at < a.length; at++) {
    both += (a[at] as number) & (b[at] as number);
    either += (a[at] as number) | (b[at] as number);
  }
  return either === 0 ? 0 : both / either;
}
