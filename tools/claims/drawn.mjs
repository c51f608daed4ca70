/** The drawn sets that a claim needs; what is there already is kept. */
import { join } from 'node:path';
import { drawSet } from '../demo/draw-data.mjs';
import { DRAWN } from '../demo/recipe.mjs';

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
 * @param {{ icons?: string[], signal: AbortSignal }} options
 * @returns {Promise<Record<string, string>>} folder of each set
 */
export async function drawn(work, names, { icons, signal }) {
  const folders = {};
  for (const name of names) {
    const folder = join(work, name);
    const world = icons === undefined ? SETS[name] : { ...SETS[name], icons };
    await drawSet(folder, world, signal);
    folders[name] = folder;
  }
  return folders;
}
