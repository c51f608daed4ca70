/** Random blobs of segments, as truth and as what a network might have found. */
import type { Random } from '../../lib/data/random.js';
import type { Truth, TruthSegment } from '../../lib/index.js';

/** Rectangles over each other on void; some crowds; ids with gaps. */
export function randomTruth(random: Random, width: number, height: number, classes: number): Truth {
  const ids = new Uint32Array(width * height);
  const segments: TruthSegment[] = [];
  const count = 1 + random.below(6);
  for (let i = 0; i < count; i++) {
    const id = 3 + 1000 * i;
    paintRectangle(random, ids, width, height, id);
    segments.push({ id, classIndex: random.below(classes), crowd: random.chance(0.2) });
  }
  return { width, height, ids, segments: segments.filter(({ id }) => ids.includes(id)) };
}

/** The truth with its edges and some of its classes changed: ids 1 … n, 0 nothing. */
export function randomFound(
  random: Random,
  truth: Truth,
  classes: number,
): { map: Int32Array; classes: number[] } {
  const { width, height } = truth;
  const columnOf = new Map(truth.segments.map(({ id }, index) => [id, index + 1]));
  const map = Int32Array.from(truth.ids, (id) => columnOf.get(id) ?? 0);
  const found = truth.segments.map(({ classIndex }) =>
    random.chance(0.8) ? classIndex : random.below(classes),
  );
  for (let extra = random.below(3); extra > 0; extra--) {
    found.push(random.below(classes));
    paintRectangle(random, map, width, height, found.length);
  }
  return { map, classes: found };
}

function paintRectangle(
  random: Random,
  ids: Uint32Array | Int32Array,
  width: number,
  height: number,
  id: number,
): void {
  const left = random.below(width - 2);
  const top = random.below(height - 2);
  const right = left + 2 + random.below(width - left - 1);
  const bottom = top + 2 + random.below(height - top - 1);
  for (let y = top; y < Math.min(bottom, height); y++) {
    ids.fill(id, y * width + left, y * width + Math.min(right, width));
  }
}
