/** Training with other processes. */
import { runJob } from '../job.js';
import type { NativeTrainer } from '../native-trainer.js';
import { Tensor } from '../tensor.js';
import type { Rank } from './environment.js';

/** Trainers of this process that have met others. */
let meetings = 0;

/** Meets the other processes; each trainer at a place of its own, since a store may outlive it. */
export async function joinRanks(
  trainer: NativeTrainer,
  { host, port, rank, worldSize, serves, prefix, timeout }: Rank,
  signal: AbortSignal | undefined,
): Promise<void> {
  const milliseconds = Math.round(1000 * timeout);
  const place = `${prefix}/${meetings}`;
  await runJob(signal, (job) =>
    trainer.join(job, host, port, rank, worldSize, serves, place, milliseconds),
  );
  meetings++;
}

/** Sums numbers over the processes; every one of them must call it. */
export async function sumOverRanks(
  trainer: NativeTrainer,
  values: readonly number[],
): Promise<number[]> {
  const own = Tensor.from(Float64Array.from(values), [values.length]);
  try {
    const handle = await runJob(undefined, (job) =>
      trainer.sumOverRanks(job, Tensor.unwrap(own, 'values')),
    );
    const sum = Tensor.wrap(handle);
    const numbers = Array.from(sum.data as Float64Array);
    sum.dispose();
    return numbers;
  } finally {
    own.dispose();
  }
}
