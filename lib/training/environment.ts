/** Where the processes of a run meet, from the variables that torchrun sets. */
import { availableParallelism } from 'node:os';
import { expected, LexisegError } from '../errors.js';
import { checkOptions, numberIn } from '../options.js';

export interface DistributedOptions {
  /**
   * Seconds to wait for the others, in joining and in every step. Default 1800. An evaluation may take
   * longer.
   */
  readonly timeout?: number | undefined;
}

/** The place of this process among those of a run. */
export interface Rank {
  readonly host: string;
  readonly port: number;
  readonly rank: number;
  readonly worldSize: number;
  /** Among the processes of this machine. */
  readonly localRank: number;
  readonly localWorldSize: number;
  /** This process keeps the store where all meet. */
  readonly serves: boolean;
  /** Differs between attempts of one launcher. */
  readonly prefix: string;
  readonly timeout: number;
}

const USUAL_TIMEOUT = 1800;
/** Seconds. */
export const SHORTEST_TIMEOUT = 1;

/** Whether a launcher has set the variables. */
export function launched(environment: NodeJS.ProcessEnv = process.env): boolean {
  return environment.RANK !== undefined && environment.WORLD_SIZE !== undefined;
}

/**
 * The place of this process, from `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE`,
 * `MASTER_ADDR` and `MASTER_PORT`; undefined for a process on its own.
 *
 * @param option of the trainer: false (the default), true, or an object
 * @throws LexisegError `ERR_DISTRIBUTED` when a variable is missing or no number.
 */
export function parseDistributed(
  option: boolean | DistributedOptions | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): Rank | undefined {
  if (option === undefined || option === false) return undefined;
  if (option !== true) {
    if (typeof option !== 'object') throw expected('a boolean or an object', 'distributed', option);
    checkOptions(option, ['timeout'], 'options.distributed');
  }
  const given = option === true ? undefined : option.timeout;
  const timeout = numberIn(
    given ?? USUAL_TIMEOUT,
    SHORTEST_TIMEOUT,
    6e5,
    'options.distributed.timeout',
  );
  const worldSize = wholeNumber(environment, 'WORLD_SIZE', 1);
  const rank = wholeNumber(environment, 'RANK', 0, worldSize - 1);
  const usualHost = worldSize === 1 ? '127.0.0.1' : undefined;
  const host = environment.MASTER_ADDR || usualHost;
  if (!host) refuse('MASTER_ADDR', environment.MASTER_ADDR);
  const agentServes = environment.TORCHELASTIC_USE_AGENT_STORE === 'True';
  return {
    host: host as string,
    port: wholeNumber(environment, 'MASTER_PORT', 1, 65_535),
    rank,
    worldSize,
    localRank: wholeNumber(environment, 'LOCAL_RANK', 0, worldSize - 1, rank),
    localWorldSize: wholeNumber(environment, 'LOCAL_WORLD_SIZE', 1, worldSize, 1),
    serves: rank === 0 && !agentServes,
    prefix: `lexiseg/${environment.TORCHELASTIC_RESTART_COUNT ?? 0}`,
    timeout,
  };
}

function wholeNumber(
  environment: NodeJS.ProcessEnv,
  name: string,
  least: number,
  most = 1 << 20,
  usual?: number,
): number {
  const text = environment[name];
  if ((text === undefined || text === '') && usual !== undefined) return usual;
  const value = /^\d+$/.test(text ?? '') ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  return refuse(name, text);
}

function refuse(name: string, value: string | undefined): never {
  throw new LexisegError(
    'ERR_DISTRIBUTED',
    `The environment variable ${name} is ${value === undefined ? 'not set' : `"${value}"`}; ` +
      'start the processes with torchrun or lexiseg launch',
    { details: { name, value } },
  );
}

/** The device of a process when several share a machine: one GPU each, chosen or named. */
export function deviceOfRank(device: string, rank: Rank | undefined): string {
  const shared = device === 'cuda' || device === 'auto';
  return rank !== undefined && shared ? `${device}:${rank.localRank}` : device;
}

/** Threads of a process when several share a machine and nobody said how many. */
export function threadsOfRank(threads: number, rank: Rank | undefined): number {
  if (threads > 0 || rank === undefined) return threads;
  return Math.max(1, Math.floor(availableParallelism() / rank.localWorldSize));
}
