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

/** What is left out stays the bundle's own. */
export interface Exponents {
  readonly alpha?: number | undefined;
  readonly beta?: number | undefined;
}

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
  readonly ensemble?: Exponents | undefined;
  /**
   * Shorter edge of the network input, pixels, instead of the bundle's own; the cap on the longer
   * edge changes with it. Finer and slower above, and objects larger than in training.
   */
  readonly shortestEdge?: number | undefined;
  /** The cap on the longer edge, pixels, at least the shorter edge: the bundle's if that is left out. */
  readonly longestEdge?: number | undefined;
  /**
   * Text embeddings on disk: `true` in the user's cache folder, `false` only in memory. They are
   * found again for the same file, and with `verify` for every copy of it.
   */
  readonly cache?: CacheOption | undefined;
}

const LOAD_KEYS = [
  'device',
  'dtype',
  'threads',
  'verify',
  'ensemble',
  'shortestEdge',
  'longestEdge',
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
  readonly ensemble: Exponents | undefined;
  readonly shortestEdge: number | undefined;
  readonly longestEdge: number | undefined;
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
    ...parseEdges(options),
    cache: options.cache ?? DEFAULTS.cache,
  };
}

function parseEdges({
  shortestEdge: shortest,
  longestEdge: longest,
}: LoadOptions): Pick<ParsedLoadOptions, 'shortestEdge' | 'longestEdge'> {
  const edge = (value: number | undefined, least: number, name: string) =>
    value === undefined ? undefined : integerIn(value, least, 8_192, `options.${name}`);
  const shortestEdge = edge(shortest, 16, 'shortestEdge');
  return { shortestEdge, longestEdge: edge(longest, shortestEdge ?? 16, 'longestEdge') };
}

function parseEnsemble(ensemble: LoadOptions['ensemble']): Exponents | undefined {
  if (ensemble === undefined) return undefined;
  checkOptions(ensemble, ['alpha', 'beta'], 'options.ensemble');
  const exponent = (value: number | undefined, name: string) =>
    value === undefined ? undefined : numberIn(value, 0, 1, `options.ensemble.${name}`);
  return { alpha: exponent(ensemble.alpha, 'alpha'), beta: exponent(ensemble.beta, 'beta') };
}
