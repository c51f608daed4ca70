/** Training with other processes. */
import { runJob } from '../job.js';
import type { NativeTrainer } from '../native-trainer.js';
import { Tensor } from '../tensor.js';
import type { Rank } from './environment.js';

/** Meets the other processes. */
export async function joinRanks(
  trainer: NativeTrainer,
  { host, port, rank, worldSize, serves, prefix, timeout }: Rank,
  signal: AbortSignal | undefined,
): Promise<void> {
  const milliseconds = Math.round(1000 * timeout);
  await runJob(signal, (job) =>
    trainer.join(job, host, port, rank, worldSize, serves, prefix, milliseconds),
  );
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
