/** Options of a trainer, checked and completed. */
import { expected } from '../errors.js';
import type { Device } from '../load-options.js';
import {
  type CallOptions,
  checkOptions,
  DEFAULTS,
  integerIn,
  LIMITS,
  numberIn,
  oneOf,
} from '../options.js';
import type { ClassInput } from '../text/classes.js';
import { type DistributedOptions, parseDistributed, type Rank } from './environment.js';
import {
  type GroupOptions,
  type Optimizer,
  type OptimizerOptions,
  parseOptimizer,
} from './optimizer.js';

export interface TrainerOptions extends CallOptions {
  readonly device?: Device | undefined;
  /** `bfloat16`: products in bfloat16, weights in float32. Default `float32`. */
  readonly precision?: 'float32' | 'bfloat16' | undefined;
  readonly threads?: number | undefined;
  /** Of everything random in a step; the same seed gives the same losses. Default 0. */
  readonly seed?: number | undefined;
  readonly optimizer?: OptimizerOptions | undefined;
  /** Largest L2 norm of the gradients; 0, the default, leaves them as they are. */
  readonly gradientClip?: number | undefined;
  /** Decay of the moving average of the weights; 0, the default, keeps none. */
  readonly ema?: number | undefined;
  /** What to change about the manifest's groups, e.g. `{ image_tower: { frozen: false } }`. */
  readonly groups?: Readonly<Record<string, GroupOptions>> | undefined;
  /** Classes of the labels, in their order; needed where masks are trained. */
  readonly vocabulary?: readonly ClassInput[] | undefined;
  /**
   * Train together with the processes that torchrun or `lexiseg launch` started beside this one.
   * Default false.
   */
  readonly distributed?: boolean | DistributedOptions | undefined;
}

const KEYS = [
  'device',
  'precision',
  'threads',
  'seed',
  'optimizer',
  'gradientClip',
  'ema',
  'groups',
  'vocabulary',
  'distributed',
  'signal',
];

export function parseTrainerOptions(options: TrainerOptions): {
  readonly device: string;
  readonly precision: 'float32' | 'bfloat16';
  readonly threads: number;
  readonly seed: number;
  readonly optimizer: Optimizer;
  readonly gradientClip: number;
  readonly ema: number;
  readonly groups: Readonly<Record<string, GroupOptions>>;
  readonly rank: Rank | undefined;
} {
  checkOptions(options, KEYS, 'options');
  const device: unknown = options.device ?? DEFAULTS.device;
  if (typeof device !== 'string') throw expected('a device name', 'options.device', device);
  const groups: unknown = options.groups ?? {};
  if (groups === null || typeof groups !== 'object' || Array.isArray(groups)) {
    throw expected('an object', 'options.groups', groups);
  }
  const most = Number.MAX_SAFE_INTEGER;
  return {
    device,
    precision: oneOf(options.precision ?? 'float32', ['float32', 'bfloat16'], 'options.precision'),
    threads: integerIn(options.threads ?? DEFAULTS.threads, 0, LIMITS.threads, 'options.threads'),
    seed: integerIn(options.seed ?? 0, 0, most, 'options.seed'),
    optimizer: parseOptimizer(options.optimizer, 'options.optimizer'),
    gradientClip: numberIn(options.gradientClip ?? 0, 0, 1e9, 'options.gradientClip'),
    ema: numberIn(options.ema ?? 0, 0, 0.999999, 'options.ema'),
    groups: groups as Readonly<Record<string, GroupOptions>>,
    rank: parseDistributed(options.distributed),
  };
}
