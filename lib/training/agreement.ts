/** That all processes of a run were told the same. */
import { createHash } from 'node:crypto';
import { LexisegError } from '../errors.js';
import type { Trainer } from './trainer.js';

/**
 * Compares what the processes of a run were told; every one of them must call it. Without it they would
 * train apart in silence, or wait for sums that the others never make.
 *
 * @throws LexisegError `ERR_DISTRIBUTED` on all of them, with the names of what differs.
 */
export async function agree(
  trainer: Pick<Trainer, 'info' | 'sumOverRanks'>,
  told: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { worldSize } = trainer.info;
  if (worldSize === 1) return;
  const names = Object.keys(told);
  // First what they are called: sums of as many numbers can be formed only where these agree.
  const [sameNames] = await agreeing(trainer, [names]);
  const same = sameNames ? await agreeing(trainer, Object.values(told)) : [];
  const differing = sameNames ? names.filter((_, index) => !same[index]) : ['settings of the data'];
  if (differing.length === 0) return;
  throw new LexisegError(
    'ERR_DISTRIBUTED',
    `The processes of the run were given different options: ${differing.join(', ')}`,
    { details: { differing } },
  );
}

/** Whether each value is that of all processes. */
async function agreeing(
  trainer: Pick<Trainer, 'info' | 'sumOverRanks'>,
  values: readonly unknown[],
): Promise<boolean[]> {
  const own = values.map(numberOf);
  // The squares tell apart what has the same sum.
  const sums = await trainer.sumOverRanks(own.flatMap((number) => [number, number ** 2]));
  return own.map((number, index) =>
    [number, number ** 2].every(
      (one, half) => sums[2 * index + half] === trainer.info.worldSize * one,
    ),
  );
}

/** Of 20 bits, so that squares of all processes add up exactly. */
const numberOf = (value: unknown): number =>
  createHash('sha256')
    .update(JSON.stringify(value) ?? 'nothing')
    .digest()
    .readUIntBE(0, 3) >> 4;
