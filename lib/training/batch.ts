/** What a training step eats, and where it comes from. */
import type { Tensor } from '../tensor.js';

export interface TrainingBatch {
  /** Tensors by the names of the objective's inputs. The trainer disposes them after the step. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** What an error calls this batch, e.g. `epoch 2, batch 17: scenes/0012.jpg, …`. */
  readonly name: string;
  /** Images in it, for the throughput. */
  readonly samples: number;
}

/** Where in the stream of batches to begin, and which share of it to take. */
export interface BatchRequest {
  /** Batches (of this rank) that were consumed before, 0-based. */
  readonly start: number;
  readonly seed: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An endless, seeded stream of batches. The same request gives the same batches, and a later
 * `start` gives the rest of the same stream, so that a resumed run sees what it would have seen.
 */
export interface TrainingData {
  /** Images per step of one rank. */
  readonly batchSize: number;
  /** Images of one pass over the data, all ranks together. */
  readonly samplesPerEpoch: number;
  /** What else a continued run must find unchanged, as plain data by the names of options. */
  readonly identity?: Readonly<Record<string, unknown>> | undefined;
  batches(request: BatchRequest): AsyncIterable<TrainingBatch>;
  /** Ends worker threads and closes files. Idempotent. */
  close(): Promise<void>;
}
