/** Segments followed through frames: how much predicted tubes share with true ones. */
import type { Truth, TruthSegment } from '../../data/segmentation-dataset.js';
import { Overlap } from '../overlap.js';

/** A predicted segment of one frame. */
export interface PredictedSegment {
  /** The same in every frame. */
  readonly id: number;
  readonly classIndex: number;
  readonly thing: boolean;
}

/** One frame, counted. */
export interface CountedFrame {
  readonly predicted: readonly PredictedSegment[];
  readonly truth: readonly TruthSegment[];
  /** Row i + 1 is predicted[i], column i is truth[i], the last column void. */
  readonly overlap: Overlap;
}

/**
 * Counts a frame.
 *
 * @param map segment id of each pixel, 0 nobody
 */
export function countFrame(
  map: Int32Array,
  predicted: readonly PredictedSegment[],
  truth: Truth,
): CountedFrame {
  const rowOf = new Map(predicted.map(({ id }, index) => [id, index + 1]));
  const rows = new Int32Array(map.length);
  let last = 0;
  let row = 0;
  for (let at = 0; at < map.length; at++) {
    const id = map[at] as number;
    if (id !== last) {
      row = rowOf.get(id) ?? 0;
      last = id;
    }
    rows[at] = row;
  }
  const overlap = new Overlap(rows, predicted.length, truth);
  return { predicted, truth: truth.segments, overlap };
}

/** Frames taken together: a tube is what has one id and one class. */
export class Tubes {
  readonly predicted: PredictedSegment[] = [];
  readonly truth: TruthSegment[] = [];
  /** Pixels by predicted tube (0: nobody) and true tube (-1: void). */
  readonly #shared = new Map<number, Map<number, number>>();
  readonly #rows = new Map<string, number>();
  readonly #columns = new Map<string, number>();
  readonly predictedAreas: number[] = [0];
  readonly truthAreas: number[] = [];

  constructor(frames: Iterable<CountedFrame> = []) {
    for (const frame of frames) this.add(frame);
  }

  add({ predicted, truth, overlap }: CountedFrame): void {
    const rows = [0, ...predicted.map((segment) => this.#rowOf(segment))];
    const columns = [...truth.map((segment) => this.#columnOf(segment)), -1];
    for (const [row, tube] of rows.entries()) {
      for (const [column, trueTube] of columns.entries()) {
        const pixels = overlap.shared(row, column);
        if (pixels === 0) continue;
        const counts = this.#shared.get(tube) ?? new Map<number, number>();
        this.#shared.set(tube, counts);
        counts.set(trueTube, (counts.get(trueTube) ?? 0) + pixels);
        this.predictedAreas[tube] = (this.predictedAreas[tube] ?? 0) + pixels;
        if (trueTube >= 0) this.truthAreas[trueTube] = (this.truthAreas[trueTube] ?? 0) + pixels;
      }
    }
  }

  /** Pixels that predicted tube `row` (from 1) and true tube `column` have in common. */
  shared(row: number, column: number): number {
    return this.#shared.get(row)?.get(column) ?? 0;
  }

  /** Pixels of predicted tube `row` where the truth is void. */
  inVoid(row: number): number {
    return this.shared(row, -1);
  }

  #rowOf(segment: PredictedSegment): number {
    const key = `${segment.id} ${segment.classIndex}`;
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    this.predicted.push(segment);
    this.#rows.set(key, this.predicted.length);
    this.predictedAreas.push(0);
    return this.predicted.length;
  }

  #columnOf(segment: TruthSegment): number {
    const key = `${segment.id} ${segment.classIndex} ${segment.crowd}`;
    const known = this.#columns.get(key);
    if (known !== undefined) return known;
    this.#columns.set(key, this.truth.length);
    this.truth.push(segment);
    this.truthAreas.push(0);
    return this.truth.length - 1;
  }
}
