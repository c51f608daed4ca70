/** The whole native boundary, typed: no prompts, options or files of images are known below it. */

import { loadBinding } from './loader.js';
import type { NativeModel } from './native-model.js';
import type { NativeTrainer } from './native-trainer.js';

/** Element types a native tensor may have. `bfloat16` and `float16` are seen as `Uint16Array`. */
export type DType =
  | 'float32'
  | 'bfloat16'
  | 'float16'
  | 'float64'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'uint8'
  | 'bool';

/** A typed array of the kind that matches a {@link DType}. */
export type TensorData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Uint16Array
  | Uint8Array;

/** A native tensor: a handle with a JavaScript face. Made by {@link NativeBinding} only. */
export interface NativeTensor {
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** `cpu` or `cuda:n`. */
  readonly device: string;
  readonly byteLength: number;
  readonly disposed: boolean;
  /** Zero-copy view of a contiguous CPU tensor; the same object on every call; detached by dispose. */
  data(): TensorData;
  /** Copies to another device or dtype on the executor. */
  to(job: NativeJob, device: string, dtype: DType): Promise<NativeTensor>;
  /** Idempotent. Detaches `data()`; work in flight keeps its own reference. */
  dispose(): void;
}

/** The right to cancel one call. A waiting job is dropped at once; a running one drops its result. */
export interface NativeJob {
  /** Rejects the job's promise with code `ERR_ABORTED` (at once when it waits or runs). */
  cancel(): void;
}

export interface NativeParameterGroup {
  parameters: readonly string[];
  learningRateMultiplier: number;
  weightDecay: number;
  /** Least and most of every number, held after each step. */
  bounds?: readonly [least: number, most: number] | undefined;
}

/**
 * Where the pixels are. All sizes in pixels, (height, width).
 * network: the padded network input; valid: the resized image inside it; output: the result.
 */
export type Geometry = readonly [
  networkHeight: number,
  networkWidth: number,
  validHeight: number,
  validWidth: number,
  outputHeight: number,
  outputWidth: number,
];

/** The arrays of a panoptic result; row i of each array is segment id i + 1. */
export interface NativePanoptic {
  /** int32 [H, W]; 0 is unlabelled. */
  segmentIds: NativeTensor;
  /** int32 [N]. */
  classes: Int32Array;
  /** float32 [N]. */
  scores: Float32Array;
  /** int32 [N], pixels. */
  areas: Int32Array;
  /** int32 [N × 4]: x, y, width, height. */
  boxes: Int32Array;
  /** int32 [N]: the first query that each segment is made of. */
  queries: Int32Array;
}

/** The arrays of an instance result; masks are COCO run lengths (column-major, zeros first). */
export interface NativeInstances {
  counts: Uint32Array;
  /** [N + 1] offsets into `counts`. */
  offsets: Uint32Array;
  classes: Int32Array;
  scores: Float32Array;
  areas: Int32Array;
  boxes: Int32Array;
}

export interface NativeMemoryStats {
  /** Bytes of tensors alive through this environment's handles, by device. */
  tensors: Record<string, number>;
  /** Live handles. */
  handles: number;
  /** Weight bytes of live models. */
  weights: number;
  /** Jobs waiting and running. */
  waiting: number;
  running: number;
  /** Resident set of the process and its peak, bytes. */
  rss: number;
  peakRss: number;
  /** CUDA allocator, when there is one. */
  cuda?: { device: number; allocated: number; reserved: number }[];
}

/** Everything the addon exports. Positional arguments; every argument is checked natively too. */
export interface NativeBinding {
  /** Versions of torch, the ops library and Node-API. */
  versions(): { torch: string; ops: string; napi: number };
  /** Devices that can be used now, and why CUDA cannot when it cannot. */
  devices(): { name: string; description: string }[];
  cudaUnavailableReason(): string | null;
  /** Instruction sets that decide the dtype policy: `avx512_bf16`, `amx_bf16`, `avx512f`, `avx2`. */
  cpuFeatures(): string[];
  /** Processors this process may use: affinity and cgroup quota, at least 1. */
  availableThreads(): number;
  memoryStats(): NativeMemoryStats;

  createJob(): NativeJob;

  /** Reads extra files (`manifest.json`, …) of a bundle without its weights; all sizes bounded. */
  readExtraFiles(job: NativeJob, path: string, names: string[]): Promise<(Uint8Array | null)[]>;
  /** SHA-256 of every record but the extra files, in name order, as lower-case hex. */
  hashWeights(job: NativeJob, path: string): Promise<string>;
  /**
   * device: `cpu`, `cuda`, `cuda:n`, `auto`; dtype: `float32`, `bfloat16`, `auto`; threads 0 = all;
   * keepFloat32: submodules (the manifest's `keepFloat32`) whose weights stay float32 all the same.
   */
  loadModel(
    job: NativeJob,
    path: string,
    device: string,
    dtype: string,
    threads: number,
    keepFloat32?: readonly string[],
    ensemble?: readonly [alpha: number, beta: number],
    inputEdges?: readonly [shortest: number, longest: number],
  ): Promise<NativeModel>;

  /**
   * precision: `float32`, or `bfloat16` for products in bfloat16 over float32 weights; what is in no
   * group stays frozen. optimizer: `adamw` or `sgd`, with its numbers; emaDecay 0 keeps no average.
   */
  openTrainer(
    job: NativeJob,
    path: string,
    device: string,
    precision: string,
    threads: number,
    keepFloat32: readonly string[],
    groups: readonly NativeParameterGroup[],
    optimizer: string,
    optimizerNumbers: readonly [beta1: number, beta2: number, epsilon: number, momentum: number],
    emaDecay: number,
  ): Promise<NativeTrainer>;

  /** 64-byte aligned (or CUDA-pinned) zeroed memory owned by the addon. */
  allocTensor(shape: number[], dtype: DType, pinned: boolean): NativeTensor;
  /** Copies the typed array. */
  copyTensor(data: TensorData, shape: number[], dtype: DType): NativeTensor;
  /** Borrows the typed array: it must not be written, transferred or resized until released. */
  borrowTensor(data: TensorData, shape: number[], dtype: DType): NativeTensor;

  /**
   * float32 [Q, h, w] mask logits of image `index` of a batch, float32 [Q, K] class probabilities
   * → int32 [H, W] labels and float32 [H, W] scores. With `oneMaskAt` each class has only the mask
   * that suits it best, whole where its probability is above that; the label is -1 where none is.
   */
  labelMap(
    job: NativeJob,
    maskLogits: NativeTensor,
    index: number,
    classLogProbs: NativeTensor,
    geometry: Geometry,
    resizeScores: boolean,
    oneMaskAt?: number | undefined,
  ): Promise<{ labels: NativeTensor; scores: NativeTensor }>;
  /**
   * Class logits of image `index` of a batch, float32 [B, K, h, w], whose grid fills `area` of the
   * network input, pixels → int32 [H, W] labels, -1 where the softmax has more entropy than
   * `mostEntropy` nats, and float32 [H, W] probabilities.
   */
  denseLabelMap(
    job: NativeJob,
    classLogits: NativeTensor,
    index: number,
    area: readonly [top: number, left: number, height: number, width: number],
    geometry: readonly [
      validHeight: number,
      validWidth: number,
      outputHeight: number,
      outputWidth: number,
    ],
    mostEntropy: number | undefined,
  ): Promise<{ labels: NativeTensor; scores: NativeTensor }>;
  panopticMerge(
    job: NativeJob,
    maskLogits: NativeTensor,
    index: number,
    classLogProbs: NativeTensor,
    geometry: Geometry,
    thing: Uint8Array,
    thresholds: readonly [objectMask: number, overlap: number],
  ): Promise<NativePanoptic>;
  selectInstances(
    job: NativeJob,
    maskLogits: NativeTensor,
    index: number,
    classLogProbs: NativeTensor,
    geometry: Geometry,
    thing: Uint8Array,
    topK: number,
  ): Promise<NativeInstances>;

  /**
   * float32 [rows × columns] costs, row-major → the column of each row in the matching of least
   * cost, -1 for rows without one.
   */
  assign(cost: Float32Array, rows: number, columns: number): Int32Array;

  /** COCO run lengths of uint8 [H, W] (row-major, non-zero is inside), column-major, zeros first. */
  rleEncode(mask: Uint8Array, width: number, height: number): Uint32Array;
  /** Inverse of {@link NativeBinding.rleEncode}. */
  rleDecode(counts: Uint32Array, width: number, height: number): Uint8Array;
  /** COCO's compressed string of run lengths, and back. */
  rleToString(counts: Uint32Array): string;
  rleFromString(text: string): Uint32Array;
}

/**
 * The addon of this thread, loaded (with LibTorch) at the first call.
 *
 * @throws LexisegError with a `LIBTORCH_*` or `NATIVE_*` code that says what was tried.
 */
export function native(): NativeBinding {
  return loadBinding<NativeBinding>();
}
