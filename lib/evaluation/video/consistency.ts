/** Mean video consistency (VSPW, CVPR 2021): places that stay what they are, and stay right. */
import type { Truth } from '../../data/segmentation-dataset.js';

/**
 * Of the pixels whose true class is the same in `length` frames running, the share that has that
 * class in every one of the predictions; means over windows, then over videos.
 */
export class VideoConsistency {
  readonly length: number;
  /** For how many frames running each pixel's truth has been the same, and the prediction right. */
  #constant = new Uint16Array(0);
  #right = new Uint16Array(0);
  #before: Int32Array = new Int32Array(0);
  #windows: number[] = [];
  readonly #videos: number[] = [];

  constructor(length: number) {
    this.length = length;
  }

  /**
   * The next frame.
   *
   * @param labels predicted class of each pixel
   */
  add(labels: Int32Array, truth: Truth): void {
    const classes = classMap(truth);
    if (classes.length !== this.#before.length) this.#restart(classes.length);
    let [all, right] = [0, 0];
    for (let at = 0; at < classes.length; at++) {
      const actual = classes[at] as number;
      const same = actual >= 0 && actual === this.#before[at];
      const constant = actual < 0 ? 0 : same ? (this.#constant[at] as number) + 1 : 1;
      const rightSoFar = same ? (this.#right[at] as number) : 0;
      const streak = actual >= 0 && labels[at] === actual ? rightSoFar + 1 : 0;
      this.#constant[at] = Math.min(constant, this.length);
      this.#right[at] = Math.min(streak, this.length);
      if (constant < this.length) continue;
      all++;
      if (streak >= this.length) right++;
    }
    this.#before = classes;
    if (all > 0) this.#windows.push(right / all);
  }

  endVideo(): void {
    if (this.#windows.length > 0) this.#videos.push(meanOf(this.#windows));
    this.#windows = [];
    this.#restart(0);
  }

  /** [0, 1]; NaN where no video is long enough. */
  get score(): number {
    return meanOf(this.#videos);
  }

  #restart(pixels: number): void {
    this.#constant = new Uint16Array(pixels);
    this.#right = new Uint16Array(pixels);
    this.#before = new Int32Array(pixels).fill(-1);
  }
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Class of each pixel, -1 void. */
function classMap({ ids, segments }: Truth): Int32Array {
  const classOf = new Map(segments.map(({ id, classIndex }) => [id, classIndex]));
  const classes = new Int32Array(ids.length);
  let [last, known] = [0, -1];
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] as number;
    if (id !== last) {
      known = classOf.get(id) ?? -1;
      last = id;
    }
    classes[at] = known;
  }
  return classes;
}
