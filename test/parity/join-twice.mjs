/**
 * Two trainers of one process, one after the other, each with those of the other processes.
 *
 *   node join-twice.mjs BUNDLE      started by lexiseg launch
 */
import { setTimeout as after } from 'node:timers/promises';
import { Trainer } from '../../dist/index.js';

for (const round of [0, 1]) {
  const trainer = await Trainer.open(process.argv[2], {
    distributed: { timeout: 60 },
    threads: 1,
  });
  const { rank } = trainer.info;
  const [sum] = await trainer.sumOverRanks([round + rank]);
  if (sum !== 2 * round + 1) throw new Error(`round ${round}: the sum is ${sum}`);
  // The other process is at its second trainer long before the first of this one is gone.
  if (rank === 0) await after(1_000);
  await trainer.dispose();
}
