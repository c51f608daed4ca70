/** The part of the addon that runs a bundle. */
import type { NativeJob, NativeTensor } from './native.js';

/** What `Model.info()` says of a loaded bundle. */
export interface NativeModelInfo {
  device: string;
  dtype: 'float32' | 'bfloat16';
  /** Why this device and dtype were chosen, in words. */
  reason: string;
  weightBytes: number;
  /** Exported methods the bundle has, e.g. `encode_text`. */
  methods: string[];
}

/** A loaded bundle. Every method rejects with `ERR_DISPOSED` after `dispose`. */
export interface NativeModel {
  info(): NativeModelInfo;
  /** int64 [N, L] → float32 [N, D], unit norm. */
  encodeText(job: NativeJob, tokenIds: NativeTensor): Promise<NativeTensor>;
  /** uint8 [B, H, W, 3] → float32 [B, D], unit norm. */
  encodeImages(job: NativeJob, images: NativeTensor): Promise<NativeTensor>;
  /** uint8 [B, H, W, 3] → the proposals tuple, in the order of the manifest's `proposals` field. */
  proposeMasks(job: NativeJob, images: NativeTensor): Promise<NativeTensor[]>;
  /** proposals, float32 [S, D], int64 [K], bool [K] → float32 [B, Q, K + 1], last is void. */
  classifyMasks(
    job: NativeJob,
    proposals: NativeTensor[],
    classEmbeddings: NativeTensor,
    synonymCounts: NativeTensor,
    seen: NativeTensor,
  ): Promise<NativeTensor>;
  /**
   * uint8 [B, H, W, 3], float32 [S, D], int64 [K] → class logits float32 [B, K, h, w] over the
   * network input, and the sizes of that and of the image inside it, int64 [2] (height, width).
   */
  segmentDense(
    job: NativeJob,
    images: NativeTensor,
    classEmbeddings: NativeTensor,
    synonymCounts: NativeTensor,
  ): Promise<NativeTensor[]>;
  /** uint8 [B, H, W, 3], float32 [S, D], int64 [K] → class logits float32 [B, K]. */
  classifyImages(
    job: NativeJob,
    images: NativeTensor,
    classEmbeddings: NativeTensor,
    synonymCounts: NativeTensor,
  ): Promise<NativeTensor>;
  /** uint8 [B, H, W, 3], float32 [N, D] → cosines float32 [B, N, h, w], and sizes as above. */
  patchSimilarity(
    job: NativeJob,
    images: NativeTensor,
    textEmbeddings: NativeTensor,
  ): Promise<NativeTensor[]>;
  /** uint8 [B, H, W, 3] → float32 tokens [B, h, w, W], embeddings [B, h, w, D]; sizes as above. */
  encodePatches(job: NativeJob, images: NativeTensor): Promise<NativeTensor[]>;
  /** uint8 [B, H, W, 3], [logits, network size, valid size] of masks → the proposals tuple. */
  embedMasks(job: NativeJob, images: NativeTensor, masks: NativeTensor[]): Promise<NativeTensor[]>;
  /** Runs the stage methods that the manifest names one after the other; milliseconds by stage. */
  profile(
    job: NativeJob,
    images: NativeTensor,
    stages: readonly string[],
  ): Promise<{ stage: string; milliseconds: number }[]>;
  /** Waits for work in flight, then frees the weights. Idempotent. */
  dispose(): Promise<void>;
}
