/** Pixels that predicted and true segments share, counted in one pass over an image. */
import type { Truth } from '../data/segmentation-dataset.js';

/** Rows are predicted ids (0: unlabelled), columns true segments in their order, the last void. */
export class Overlap {
  readonly #counts: Float64Array;
  readonly #columns: number;
  readonly predictedAreas: Float64Array;
  readonly truthAreas: Float64Array;

  /**
   * @param predicted segment id of each pixel, 0 … predictedCount
   * @param truth of the same size
   */
  constructor(predicted: Int32Array, predictedCount: number, truth: Truth) {
    const columns = truth.segments.length + 1;
    const rows = predictedCount + 1;
    const counts = new Float64Array(rows * columns);
    const columnOf = new Map(truth.segments.map(({ id }, index) => [id, index]));
    const { ids } = truth;
    let last = 0;
    let column = columns - 1;
    for (let at = 0; at < ids.length; at++) {
      const id = ids[at] as number;
      if (id !== last) {
        column = columnOf.get(id) ?? columns - 1;
        last = id;
      }
      const cell = (predicted[at] as number) * columns + column;
      counts[cell] = (counts[cell] as number) + 1;
    }
    this.#counts = counts;
    this.#columns = columns;
    this.predictedAreas = new Float64Array(rows);
    this.truthAreas = new Float64Array(columns);
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < columns; c++) {
        const count = counts[row * columns + c] as number;
        this.predictedAreas[row] = (this.predictedAreas[row] as number) + count;
        this.truthAreas[c] = (this.truthAreas[c] as number) + count;
      }
    }
  }

  /** Pixels of predicted id `row` in true segment `column`. */
  shared(row: number, column: number): number {
    return this.#counts[row * this.#columns + column] as number;
  }

  /** Pixels of predicted id `row` where the truth is void. */
  inVoid(row: number): number {
    return this.shared(row, this.#columns - 1);
  }
}
