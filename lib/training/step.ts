/** What one update takes and gives. */
import type { NativeTrainer } from '../native-trainer.js';
import type { CallOptions } from '../options.js';

/** What one step gives. */
export interface StepResult {
  /** Weighted losses by name, the mean over micro-batches. */
  readonly losses: Readonly<Record<string, number>>;
  /** Their sum. */
  readonly total: number;
  /** L2 norm over all gradients before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Updates made so far, this one included. */
  readonly step: number;
}

export interface StepOptions extends CallOptions {
  /** Of this step; groups multiply it. */
  readonly learningRate: number;
}

/** What a trainer runs on and how much of the network changes. */
export type TrainerInfo = Readonly<ReturnType<NativeTrainer['info']>> & {
  readonly rank: number;
  readonly worldSize: number;
};
