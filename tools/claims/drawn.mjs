/** The drawn sets that a claim needs; what is there already is kept. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawSet, worldOf } from '../demo/draw-data.mjs';
import { DRAWN } from '../demo/recipe.mjs';
import { claimFolder } from '../scenes/world-file.mjs';

/** The demo's, but as much of each as the short runs here see. */
const SETS = {
  ...DRAWN,
  crops: { ...DRAWN.crops, count: 91_035 },
  'scenes-crowded': { ...DRAWN['scenes-crowded'], count: 3_000 },
  'scenes-few': { ...DRAWN['scenes-crowded'], count: 2_000, classes: 'few', seed: 5 },
};

/**
 * @param {string} work folder that gets a folder for each set
 * @param {string[]} names of sets
 * @param {{ icons?: string[], stages: import('./stages.mjs').Stages, signal: AbortSignal }} options
 * @returns {Promise<Record<string, string>>} folder of each set
 */
export async function drawn(work, names, { icons, stages, signal }) {
  const folders = {};
  for (const name of names) {
    const folder = join(work, name);
    const world = icons === undefined ? SETS[name] : { ...SETS[name], icons };
    // Also where all is drawn: figures of other pictures would go by this name.
    claimFolder(folder, worldOf(world));
    // Shards of crops have no index that would be written last.
    const done = join(folder, 'drawn');
    await stages.make(done, async () => {
      await drawSet(folder, world, signal);
      writeFileSync(done, '');
    });
    folders[name] = folder;
  }
  return folders;
}
