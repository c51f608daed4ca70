/** What a run of training tells while it goes on; every display and log is made from these. */

/** One update of the weights. */
export interface StepEvent {
  readonly type: 'step';
  /** Updates made so far, this one included. */
  readonly step: number;
  /** Weighted losses by name; their sum is `total`. */
  readonly losses: Readonly<Record<string, number>>;
  readonly total: number;
  /** L2 norm over all gradients, before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Images per second of this process, over the last steps. */
  readonly samplesPerSecond: number;
  /** Share of the time spent waiting for data, 0..1, over the last steps. */
  readonly waiting: number;
  /** Seconds until the last step at the present speed. */
  readonly remainingSeconds: number;
  /** Resident memory of the process, bytes. */
  readonly memoryBytes: number;
}

export type TrainingEvent =
  | {
      readonly type: 'start';
      /** Updates made before, 0 for a fresh run. */
      readonly step: number;
      /** Updates when the run ends. */
      readonly steps: number;
      readonly batchSize: number;
      readonly worldSize: number;
      readonly device: string;
      readonly precision: string;
      readonly trainedParameters: number;
    }
  | StepEvent
  | {
      readonly type: 'evaluation';
      readonly step: number;
      /** Figures as `evaluate` named them. */
      readonly metrics: Readonly<Record<string, number>>;
      /** The best so far by the metric that is watched. */
      readonly best: boolean;
    }
  | { readonly type: 'checkpoint'; readonly step: number; readonly path: string }
  | {
      readonly type: 'end';
      readonly step: number;
      readonly reason: 'steps' | 'early-stop' | 'cancelled';
      readonly seconds: number;
    };
