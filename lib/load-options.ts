/** Options of loading a bundle. */
import { expected } from './errors.js';
import {
  booleanValue,
  type CallOptions,
  checkOptions,
  DEFAULTS,
  integerIn,
  LIMITS,
  numberIn,
  oneOf,
} from './options.js';

/** Where a bundle runs. Only `auto` may choose; the choice is told by `segmenter.info.reason`. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** Whether text embeddings are kept on disk, and where. */
export type CacheOption = boolean | { readonly dir: string };

export interface LoadOptions extends CallOptions {
  readonly device?: Device | undefined;
  readonly dtype?: 'auto' | 'float32' | 'bfloat16' | undefined;
  /** Threads inside one operation; 0 takes every processor this process may use. */
  readonly threads?: number | undefined;
  /** Compare the weights with the manifest's SHA-256 before loading. */
  readonly verify?: boolean | undefined;
  /**
   * Exponents of the out-of-vocabulary classifier for seen (alpha) and unseen classes (beta), [0, 1],
   * instead of the bundle's own: 0 uses the in-vocabulary classifier alone, 1 the other alone.
   */
  readonly ensemble?: { readonly alpha: number; readonly beta: number } | undefined;
  /**
   * Shorter edge of the network input, pixels, instead of the bundle's own; the cap on the longer
   * edge changes with it. Finer and slower above, and objects larger than in training.
   */
  readonly shortestEdge?: number | undefined;
  /** Text embeddings on disk: `true` in the user's cache folder, `false` only in memory. */
  readonly cache?: CacheOption | undefined;
}

const LOAD_KEYS = [
  'device',
  'dtype',
  'threads',
  'verify',
  'ensemble',
  'shortestEdge',
  'cache',
  'masksFrom',
  'signal',
];
const DEVICE = /^(auto|cpu|cuda(:\d{1,3})?)$/;

export interface ParsedLoadOptions {
  readonly device: string;
  readonly dtype: string;
  readonly threads: number;
  readonly verify: boolean;
  readonly ensemble: readonly [alpha: number, beta: number] | undefined;
  readonly shortestEdge: number | undefined;
  readonly cache: CacheOption;
}

/** Options of loading, checked and completed. */
export function parseLoadOptions(options: LoadOptions): ParsedLoadOptions {
  checkOptions(options, LOAD_KEYS, 'options');
  const device: unknown = options.device ?? DEFAULTS.device;
  if (typeof device !== 'string' || !DEVICE.test(device)) {
    throw expected('"auto", "cpu", "cuda" or "cuda:N"', 'options.device', device);
  }
  const dtypes = ['auto', 'float32', 'bfloat16'] as const;
  return {
    device,
    dtype: oneOf(options.dtype ?? DEFAULTS.dtype, dtypes, 'options.dtype'),
    threads: integerIn(options.threads ?? DEFAULTS.threads, 0, LIMITS.threads, 'options.threads'),
    verify: booleanValue(options.verify ?? DEFAULTS.verify, 'options.verify'),
    ensemble: parseEnsemble(options.ensemble),
    shortestEdge:
      options.shortestEdge === undefined
        ? undefined
        : integerIn(options.shortestEdge, 16, 8_192, 'options.shortestEdge'),
    cache: options.cache ?? DEFAULTS.cache,
  };
}

function parseEnsemble(ensemble: LoadOptions['ensemble']): readonly [number, number] | undefined {
  if (ensemble === undefined) return undefined;
  checkOptions(ensemble, ['alpha', 'beta'], 'options.ensemble');
  return [
    numberIn(ensemble.alpha, 0, 1, 'options.ensemble.alpha'),
    numberIn(ensemble.beta, 0, 1, 'options.ensemble.beta'),
  ];
}
