/** Disjoint segments: each thing its own, each stuff class one. */
import { LexisegError } from '../errors.js';
import { callNative } from '../job.js';
import { type NativePanoptic, native } from '../native.js';
import { Tensor } from '../tensor.js';
import type { VocabularyClass } from '../text/classes.js';
import {
  type Box,
  maskWhere,
  type RegionMap,
  type Segment,
  Segmentation,
  type SegmentationParts,
} from './segmentation.js';

/** Every pixel belongs to one segment or to none. */
export class PanopticSegmentation extends Segmentation {
  readonly task = 'panoptic';
  readonly #ids: Tensor;
  readonly #queries: Int32Array;

  /** @internal */
  constructor(parts: Omit<SegmentationParts, 'segments'>, result: NativePanoptic) {
    super({ ...parts, segments: segmentsOfArrays(result, parts.classes) });
    this.#ids = Tensor.wrap(result.segmentIds);
    this.#queries = result.queries;
  }

  get disposed(): boolean {
    return this.#ids.disposed;
  }

  /** int32 [height × width], row-major segment ids, 0 unlabelled; memory of the addon. */
  get segmentMap(): Int32Array {
    this.checkAlive();
    return this.#ids.data as Int32Array;
  }

  mask(segment: Segment | number): Uint8Array {
    const { id } = this.find(segment);
    return maskWhere(this.segmentMap, id);
  }

  runLengths(segment: Segment | number): Uint32Array {
    const mask = this.mask(segment);
    return callNative(() => native().rleEncode(mask, this.width, this.height));
  }

  /** @internal The first query that each segment is made of. */
  static queriesOf(segmentation: PanopticSegmentation): Int32Array {
    return segmentation.#queries;
  }

  /** @internal Gives segment i the id ids[i], in the map as well; ids must differ. */
  static renumber(segmentation: PanopticSegmentation, ids: readonly number[]): void {
    const map = segmentation.segmentMap;
    for (let pixel = 0; pixel < map.length; pixel++) {
      const row = map[pixel] as number;
      if (row > 0) map[pixel] = ids[row - 1] as number;
    }
    segmentation.replaceIds(ids);
  }

  /** @internal */
  async regionMap(): Promise<RegionMap> {
    return { data: this.segmentMap, offset: 0 };
  }

  dispose(): void {
    this.#ids.dispose();
  }
}

/** Parallel arrays of the addon: row i is the segment with id i + 1. */
export interface SegmentArrays {
  readonly classes: Int32Array;
  readonly scores: Float32Array;
  readonly areas: Int32Array;
  readonly boxes: Int32Array;
}

export function segmentsOfArrays(
  arrays: SegmentArrays,
  classes: readonly VocabularyClass[],
): Segment[] {
  return Array.from(arrays.classes, (classIndex, row) => {
    const found = classes[classIndex];
    if (found === undefined) {
      throw new LexisegError(
        'ERR_INFERENCE',
        `A segment has class ${classIndex} of ${classes.length}`,
      );
    }
    const { name, thing } = found;
    return Object.freeze({
      id: row + 1,
      classIndex,
      className: name,
      thing,
      score: arrays.scores[row] as number,
      area: arrays.areas[row] as number,
      box: boxAt(arrays.boxes, row),
    });
  });
}

function boxAt(boxes: Int32Array, row: number): Box {
  const [x = 0, y = 0, width = 0, height = 0] = boxes.subarray(4 * row, 4 * row + 4);
  return { x, y, width, height };
}
