/** Objects that may overlap, each with its own mask. */
import { breathe, callNative } from '../job.js';
import { type NativeInstances, native } from '../native.js';
import { segmentsOfArrays } from './panoptic.js';
import {
  type RegionMap,
  type Segment,
  Segmentation,
  type SegmentationParts,
} from './segmentation.js';

/** Objects by falling score, their masks as COCO run lengths (column-major, zeros first). */
export class InstanceSegmentation extends Segmentation {
  readonly task = 'instance';
  readonly #result: NativeInstances;
  #disposed = false;

  /** @internal */
  constructor(
    parts: Omit<SegmentationParts, 'segments'>,
    result: NativeInstances,
    leastScore: number,
  ) {
    const segments = segmentsOfArrays(result, parts.classes);
    super({ ...parts, segments: segments.filter(({ score }) => score >= leastScore) });
    this.#result = result;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  runLengths(segment: Segment | number): Uint32Array {
    this.checkAlive();
    const row = this.find(segment).id - 1;
    const { counts, offsets } = this.#result;
    return counts.slice(offsets[row], offsets[row + 1]);
  }

  mask(segment: Segment | number): Uint8Array {
    const counts = this.runLengths(segment);
    return callNative(() => native().rleDecode(counts, this.width, this.height));
  }

  /** @internal */
  async regionMap(signal?: AbortSignal): Promise<RegionMap> {
    const data = new Int32Array(this.width * this.height);
    // Best last, so that it lies on top.
    for (const segment of [...this.segments].sort((a, b) => a.score - b.score)) {
      paintRuns(data, this.runLengths(segment), this.height, this.width, segment.id);
      await breathe(signal);
    }
    return { data, offset: 0 };
  }

  dispose(): void {
    this.#disposed = true;
  }
}

/** Writes `id` where the run lengths are inside; the map is row-major, the runs column-major. */
function paintRuns(
  map: Int32Array,
  counts: Uint32Array,
  height: number,
  width: number,
  id: number,
): void {
  let position = 0;
  for (let run = 0; run < counts.length; run++) {
    const length = counts[run] as number;
    if (run % 2 === 1) {
      let y = position % height;
      let x = (position - y) / height;
      for (let left = length; left > 0; left--) {
        map[y * width + x] = id;
        if (++y === height) {
          y = 0;
          x += 1;
        }
      }
    }
    position += length;
  }
}
