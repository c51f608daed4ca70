/** The part of the addon that trains. */
import type { NativeJob, NativeTensor } from './native.js';

/** A bundle in training. Every method rejects with `ERR_DISPOSED` after `dispose`. */
export interface NativeTrainer {
  info(): {
    device: string;
    reason: string;
    precision: 'float32' | 'bfloat16';
    /** Numbers that change, and that do not. */
    trainedParameters: number;
    frozenParameters: number;
    /** What carries gradients between processes; absent for a process on its own. */
    backend?: 'gloo' | 'nccl';
  };
  /** Trains with other processes from now on; rejects with `ERR_DISTRIBUTED`. */
  join(
    job: NativeJob,
    host: string,
    port: number,
    rank: number,
    size: number,
    serves: boolean,
    prefix: string,
    timeoutMs: number,
  ): Promise<void>;
  sumOverRanks(job: NativeJob, own: NativeTensor): Promise<NativeTensor>;
  /**
   * Adds the gradients of `scale` × the sum of the losses; `first` of a step, when what an abandoned
   * one has left is dropped, and `last` before an update. `ERR_NOT_FINITE` drops them all.
   */
  accumulate(
    job: NativeJob,
    names: readonly string[],
    tensors: readonly NativeTensor[],
    scale: number,
    first: boolean,
    last: boolean,
  ): Promise<Record<string, number>>;
  /** One step of the optimiser; `gradNorm` is the L2 norm before clipping to `maxNorm` (0: none). */
  update(
    job: NativeJob,
    learningRate: number,
    maxNorm: number,
  ): Promise<{ gradNorm: number; step: number }>;
  /** int64 [N, L] → float32 [N, D], with the weights as they are. */
  encodeText(job: NativeJob, tokenIds: NativeTensor): Promise<NativeTensor>;
  /** Writes weights, optimiser, average and step; whole or not at all. */
  save(job: NativeJob, path: string): Promise<void>;
  /** Reads what `save` wrote; resolves to its step. Rejects with `ERR_CHECKPOINT`. */
  restore(job: NativeJob, path: string): Promise<number>;
  /**
   * Writes a bundle; resolves to the SHA-256 of its weights, which takes the place of the 64 zeros
   * in `manifest`. What only the loss reads is left out unless it stays `trainable`.
   */
  writeBundle(
    job: NativeJob,
    path: string,
    movingAverage: boolean,
    dtype: string,
    keepFloat32: readonly string[],
    manifest: string,
    extraNames: readonly string[],
    extraTexts: readonly string[],
    trainable: boolean,
  ): Promise<string>;
  /** Waits for work in flight, then frees the weights. Idempotent. */
  dispose(): Promise<void>;
}
