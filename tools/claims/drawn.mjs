/** The demo's drawn sets, those that a claim needs; what is there already is kept. */
import { join } from 'node:path';
import { drawSet } from '../demo/draw-data.mjs';
import { DRAWN } from '../demo/recipe.mjs';

/**
 * @param {string} work folder that gets a folder for each set
 * @param {string[]} names of sets in the demo's recipe
 * @param {{ icons?: string[], signal: AbortSignal }} options
 * @returns {Promise<Record<string, string>>} folder of each set
 */
export async function drawn(work, names, { icons, signal }) {
  const folders = {};
  for (const name of names) {
    const folder = join(work, name);
    const world = icons === undefined ? DRAWN[name] : { ...DRAWN[name], icons };
    await drawSet(folder, world, signal);
    folders[name] = folder;
  }
  return folders;
}
