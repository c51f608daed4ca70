/** Options of a run over data, checked and completed. */
import { expected } from '../errors.js';
import { type CallOptions, checkCallback, checkOptions, integerIn, numberIn } from '../options.js';
import type { ScheduleOptions } from './schedule.js';
import type { Trainer } from './trainer.js';

export interface RunOptions extends CallOptions {
  /** Updates of the whole run, those before a resume included. */
  readonly steps: number;
  /** Base learning rate; groups and the schedule multiply it. */
  readonly learningRate: number;
  readonly schedule?: ScheduleOptions | undefined;
  /** Of the order of the data and of augmentation. Default 0. */
  readonly seed?: number | undefined;
  /** Batches whose gradients are averaged for one update. Default 1. */
  readonly accumulate?: number | undefined;
  /** Where checkpoints and the log go; without it nothing is kept. */
  readonly folder?: string | undefined;
  /** Updates between step events. Default 1. */
  readonly logEvery?: number | undefined;
  /** Updates between checkpoints. Default 500. */
  readonly checkpointEvery?: number | undefined;
  /** Latest checkpoints to keep. Default 2. */
  readonly keepLast?: number | undefined;
  /** Named figures of the weights as they are; the greater the better. */
  readonly evaluate?: ((trainer: Trainer) => Promise<Record<string, number>>) | undefined;
  /** Updates between evaluations. Default 5000. */
  readonly evaluateEvery?: number | undefined;
  /** With `evaluate`: the figure that decides which checkpoint is the best; by default the first. */
  readonly watch?: string | undefined;
  /**
   * With `evaluate`: evaluations without a better figure after which the run ends; 0, the default:
   * never.
   */
  readonly patience?: number | undefined;
}

const KEYS: (keyof RunOptions)[] = [
  'steps',
  'learningRate',
  'schedule',
  'seed',
  'accumulate',
  'folder',
  'logEvery',
  'checkpointEvery',
  'keepLast',
  'evaluate',
  'evaluateEvery',
  'watch',
  'patience',
  'signal',
];

/** Checked and completed. */
export interface ParsedRunOptions {
  readonly steps: number;
  readonly learningRate: number;
  readonly schedule: ScheduleOptions;
  readonly seed: number;
  readonly accumulate: number;
  readonly folder: string | undefined;
  readonly watch: string | undefined;
  readonly evaluate: RunOptions['evaluate'];
  readonly signal: AbortSignal | undefined;
  readonly logEvery: number;
  readonly checkpointEvery: number;
  readonly keepLast: number;
  readonly evaluateEvery: number;
  readonly patience: number;
  /** What a continuation must share with the run it continues. */
  readonly identity: Readonly<Record<string, unknown>>;
}

export function parseRunOptions(options: RunOptions): ParsedRunOptions {
  checkOptions(options, KEYS, 'run');
  checkCallback(options.evaluate, 'run.evaluate');
  const { folder, watch, evaluate, signal, schedule = {} } = options;
  for (const [name, value] of Object.entries({ folder, watch })) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      throw expected('a string', `run.${name}`, value);
    }
  }
  const count = (key: keyof RunOptions, usual: number, least: number): number =>
    integerIn(options[key] ?? usual, least, 1e12, `run.${key}`);
  const steps = integerIn(options.steps, 1, 1e12, 'run.steps');
  const learningRate = numberIn(options.learningRate, 0, 1e6, 'run.learningRate');
  const seed = integerIn(options.seed ?? 0, 0, Number.MAX_SAFE_INTEGER, 'run.seed');
  const accumulate = count('accumulate', 1, 1);
  const patience = count('patience', 0, 0);
  for (const [name, value] of Object.entries({ watch, patience: patience || undefined })) {
    if (value === undefined || evaluate !== undefined) continue;
    throw expected('"evaluate" beside it', `run.${name}`, value);
  }
  return {
    steps,
    learningRate,
    schedule,
    seed,
    accumulate,
    folder,
    watch,
    evaluate,
    signal,
    logEvery: count('logEvery', 1, 1),
    checkpointEvery: count('checkpointEvery', 500, 1),
    keepLast: count('keepLast', 2, 1),
    evaluateEvery: count('evaluateEvery', 5000, 1),
    patience,
    identity: { steps, learningRate, schedule, seed, accumulate },
  };
}
