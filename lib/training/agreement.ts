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
  const own = Object.values(told).map(numberOf);
  // The squares tell apart what has the same sum.
  const squares = own.map((number) => number ** 2);
  const sums = await trainer.sumOverRanks([...own, ...squares]);
  const differing = Object.keys(told).filter((_, index) =>
    [own, squares].some(
      (values, half) => sums[half * own.length + index] !== worldSize * (values[index] as number),
    ),
  );
  if (differing.length === 0) return;
  throw new LexisegError(
    'ERR_DISTRIBUTED',
    `The processes of the run were given different options: ${differing.join(', ')}`,
    { details: { differing } },
  );
}

/** Of 20 bits, so that squares of all processes add up exactly. */
const numberOf = (value: unknown): number =>
  createHash('sha256')
    .update(JSON.stringify(value) ?? 'nothing')
    .digest()
    .readUIntBE(0, 3) >> 4;
