/** A class for every pixel. */
import { breathe, callNative } from '../job.js';
import { type NativeTensor, native } from '../native.js';
import { Tensor } from '../tensor.js';
import type { VocabularyClass } from '../text/classes.js';
import {
  maskWhere,
  type RegionMap,
  type Segment,
  Segmentation,
  type SegmentationParts,
} from './segmentation.js';

/** Pixels looked at between two breaths: about a millisecond. */
const PIXELS_PER_BREATH = 1 << 18;

/**
 * Every pixel has a class, unless the call leaves out those that no class fits (`oneMaskAt`,
 * `thresholds.entropy`); a segment is all pixels of one class, its id the class index + 1.
 */
export class SemanticSegmentation extends Segmentation {
  readonly task = 'semantic';
  readonly #labels: Tensor;
  readonly #scores: Tensor;

  /** @internal */
  constructor(parts: SegmentationParts, labels: Tensor, scores: Tensor) {
    super(parts);
    this.#labels = labels;
    this.#scores = scores;
  }

  get disposed(): boolean {
    return this.#labels.disposed;
  }

  /**
   * int32 [height × width], row-major class indices, -1 where there is none; memory of the addon, see
   * `dispose`.
   */
  get labelMap(): Int32Array {
    this.checkAlive();
    return this.#labels.data as Int32Array;
  }

  /** float32 [height × width]: the score of each pixel's class, summed over queries, from 0 on. */
  get scoreMap(): Float32Array {
    this.checkAlive();
    return this.#scores.data as Float32Array;
  }

  mask(segment: Segment | number): Uint8Array {
    const { classIndex } = this.find(segment);
    return maskWhere(this.labelMap, classIndex);
  }

  runLengths(segment: Segment | number): Uint32Array {
    const mask = this.mask(segment);
    return callNative(() => native().rleEncode(mask, this.width, this.height));
  }

  /** @internal */
  async regionMap(): Promise<RegionMap> {
    return { data: this.labelMap, offset: 1 };
  }

  dispose(): void {
    this.#labels.dispose();
    this.#scores.dispose();
  }
}

/** The result of a label map, which owns both tensors from now on. */
export async function semanticSegmentation(
  parts: Omit<SegmentationParts, 'segments'>,
  maps: { readonly labels: NativeTensor; readonly scores: NativeTensor },
  signal: AbortSignal | undefined,
): Promise<SemanticSegmentation> {
  const { labels, scores } = maps;
  try {
    const segments = await segmentsOfLabels(
      labels.data() as Int32Array,
      scores.data() as Float32Array,
      parts,
      parts.classes,
      signal,
    );
    return new SemanticSegmentation(
      { ...parts, segments },
      Tensor.wrap(labels),
      Tensor.wrap(scores),
    );
  } catch (error) {
    labels.dispose();
    scores.dispose();
    throw error;
  }
}

/** Area, box and mean score of every class that occurs. */
async function segmentsOfLabels(
  labels: Int32Array,
  scores: Float32Array,
  size: { readonly width: number; readonly height: number },
  classes: readonly VocabularyClass[],
  signal: AbortSignal | undefined,
): Promise<Segment[]> {
  const { width, height } = size;
  const count = classes.length;
  const area = new Float64Array(count);
  const total = new Float64Array(count);
  const left = new Int32Array(count).fill(width);
  const right = new Int32Array(count).fill(-1);
  const top = new Int32Array(count).fill(height);
  const bottom = new Int32Array(count).fill(-1);
  const rowsPerBreath = Math.max(1, Math.floor(PIXELS_PER_BREATH / width));
  for (let y = 0; y < height; y++) {
    if (y % rowsPerBreath === rowsPerBreath - 1) await breathe(signal);
    for (let x = 0; x < width; x++) {
      const label = labels[y * width + x] as number;
      if (label < 0) continue;
      area[label] = (area[label] as number) + 1;
      total[label] = (total[label] as number) + (scores[y * width + x] as number);
      if (x < (left[label] as number)) left[label] = x;
      if (x > (right[label] as number)) right[label] = x;
      if (y < (top[label] as number)) top[label] = y;
      bottom[label] = y;
    }
  }
  return classes
    .filter(({ index }) => (area[index] as number) > 0)
    .map(({ index, name, thing }) =>
      Object.freeze({
        id: index + 1,
        classIndex: index,
        className: name,
        thing,
        score: (total[index] as number) / (area[index] as number),
        area: area[index] as number,
        box: {
          x: left[index] as number,
          y: top[index] as number,
          width: (right[index] as number) - (left[index] as number) + 1,
          height: (bottom[index] as number) - (top[index] as number) + 1,
        },
      }),
    );
}
