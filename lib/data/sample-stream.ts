/** Endless seeded streams of samples, and how they become batches. */
import { availableParallelism } from 'node:os';
import { throwIfAborted } from '../job.js';
import type { BatchRequest, TrainingBatch } from '../training/batch.js';
import { Random } from './random.js';

/** A sample at its place in the stream of all ranks. */
export interface Placed<Sample> {
  readonly sample: Sample;
  /** 0-based, over all epochs and ranks. */
  readonly position: number;
}

/** Which places of a stream are wanted. */
export interface StreamRequest {
  readonly seed: number;
  /** Whether the place is wanted; others may be skipped without being read. */
  readonly wants: (position: number) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Where samples come from: the same seed gives the same stream. */
export interface SampleSource<Sample> {
  /** Samples of one pass. */
  readonly size: number;
  stream(request: StreamRequest): AsyncIterable<Placed<Sample>>;
}

/** A source that can read any sample: each epoch is a new random order. */
export function indexedSource<Sample>(
  size: number,
  read: (index: number) => Sample,
): SampleSource<Sample> {
  return {
    size,
    async *stream({ seed, wants, signal }) {
      for (let epoch = 0; size > 0; epoch++) {
        const order = new Random(seed, epoch).permutation(size);
        for (let i = 0; i < size; i++) {
          const position = epoch * size + i;
          if (!wants(position)) continue;
          throwIfAborted(signal);
          yield { sample: read(order[i] as number), position };
        }
      }
    },
  };
}

/** Every sample once, in whatever order. */
export async function* onePass<Sample>(
  source: SampleSource<Sample>,
  signal?: AbortSignal,
): AsyncGenerator<Sample> {
  if (source.size === 0) return;
  for await (const { sample, position } of source.stream({ seed: 0, wants: () => true, signal })) {
    yield sample;
    if (position + 1 >= source.size) return;
  }
}

/** How samples become the tensors of a batch. */
export interface BatchRecipe<Sample, Prepared> {
  readonly batchSize: number;
  /** Samples prepared at one time, ahead of the trainer. */
  readonly ahead: number;
  /**
   * Runs concurrently; everything random in it comes from the seed and the position. `place` is the
   * sample's index in its batch.
   */
  readonly prepare: (placed: Placed<Sample>, seed: number, place: number) => Promise<Prepared>;
  readonly collate: (prepared: readonly Prepared[]) => TrainingBatch['inputs'];
  readonly nameOf: (sample: Sample) => string;
}

/**
 * Batches of one rank. Rank r of W takes every W-th sample from r on, so that W ranks together
 * see exactly what one process with a W times larger batch sees.
 */
export async function* batchesOf<Sample, Prepared>(
  source: SampleSource<Sample>,
  recipe: BatchRecipe<Sample, Prepared>,
  request: BatchRequest,
): AsyncGenerator<TrainingBatch> {
  const { seed, start, rank, worldSize, signal } = request;
  const { batchSize } = recipe;
  const first = start * batchSize * worldSize;
  const wants = (position: number): boolean =>
    position >= first && position % worldSize === rank % worldSize;
  const samples = source.stream({ seed, wants, signal });
  let taken = 0;
  const prepared = mapAhead(samples, recipe.ahead, async (placed) => ({
    name: recipe.nameOf(placed.sample),
    value: await recipe.prepare(placed, seed, taken++ % batchSize),
  }));
  let index = start;
  let group: { name: string; value: Prepared }[] = [];
  for await (const one of prepared) {
    group.push(one);
    if (group.length < batchSize) continue;
    const names = group.map(({ name }) => name);
    yield {
      inputs: recipe.collate(group.map(({ value }) => value)),
      name: `batch ${index}: ${listed(names)}`,
      samples: batchSize,
    };
    group = [];
    index++;
  }
}

const listed = (names: readonly string[]): string =>
  names.length <= 4
    ? names.join(', ')
    : `${names.slice(0, 4).join(', ')} and ${names.length - 4} more`;

/** Runs what it is given, at once or in its turn. */
export type Limited = <Out>(work: () => Promise<Out>) => Promise<Out>;

/** Has up to `most` of what it is given run at one time; the rest wait in their order. */
export function atMost(most: number): Limited {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running < most) running++;
    else await new Promise<void>((go) => waiting.push(go));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

/**
 * Of all that is prepared ahead, few images are open: a decoded photograph takes a hundred times the
 * memory of its crop. Two for each core, so that the next is there when one is done.
 */
export const whileOpen: Limited = atMost(2 * availableParallelism());

/** Results in order, with up to `window` being worked on. */
export async function* mapAhead<In, Out>(
  items: AsyncIterable<In>,
  window: number,
  work: (item: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const iterator = items[Symbol.asyncIterator]();
  const pending: Promise<Out>[] = [];
  let ended = false;
  try {
    for (;;) {
      while (!ended && pending.length < window) {
        const next = await iterator.next();
        if (next.done) {
          ended = true;
        } else {
          const result = work(next.value);
          // Awaited in its turn; until then a failure must not count as unhandled.
          result.catch(() => {});
          pending.push(result);
        }
      }
      const result = pending.shift();
      if (result === undefined) return;
      yield await result;
    }
  } finally {
    await Promise.allSettled(pending);
    await iterator.return?.();
  }
}
