/** A mask with its boundary, for overlaps that look at outlines. */
import { callNative } from '../job.js';
import { native } from '../native.js';
import type { Size } from '../options.js';
import { LEAST_IOU } from './average-precision.js';
import { boundaryOf, boundaryWidth } from './boundary.js';
import { type RunLengths, runIou } from './run-lengths.js';

export class EdgedMask {
  readonly runs: RunLengths;
  readonly #size: Size;
  #edge: RunLengths | undefined;

  /** @param size of the image, pixels */
  constructor(runs: RunLengths, size: Size) {
    this.runs = runs;
    this.#size = size;
  }

  /** Its boundary, as wide as the image asks for; found when it is first needed. */
  get edge(): RunLengths {
    this.#edge ??= edgeOf(this.runs, this.#size);
    return this.#edge;
  }
}

function edgeOf(runs: RunLengths, { width, height }: Size): RunLengths {
  const mask = callNative(() => native().rleDecode(runs, width, height));
  const edge = boundaryOf(mask, width, height, boundaryWidth(width, height));
  return callNative(() => native().rleEncode(edge, width, height));
}

/** The lesser of mask and boundary IoU. A crowd has no outline of its own: its mask counts. */
export function lesserIou(detection: EdgedMask, truth: EdgedMask, crowd: boolean): number {
  const iou = runIou(detection.runs, truth.runs, crowd);
  // Boundaries cost much, and a pair that fails by its masks fails by the lesser of the two as well.
  if (crowd || iou < LEAST_IOU) return iou;
  return Math.min(iou, runIou(detection.edge, truth.edge, false));
}
