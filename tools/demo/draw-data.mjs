/** Draws what the demo is trained on and measured with; goes on where it was stopped. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_SETS } from '../scenes/icon-set.mjs';
import { claimFolder } from '../scenes/world-file.mjs';
import { writeCrops } from '../scenes/write-crops.mjs';
import { writeScenes } from '../scenes/write-scenes.mjs';
import { CROP_SIDE, DRAWN, DRAWN_IN_ANOTHER_STYLE, PLAIN, shortened } from './recipe.mjs';

/**
 * @param {object} run
 * @param {string} run.work folder that gets a folder for each set
 * @param {number} run.fraction of the recipe
 * @param {AbortSignal} [run.signal]
 * @param {string} [icons] one more icon set, for pictures in a style that training never saw
 */
export async function drawData({ work, fraction, signal }, icons) {
  const further = icons === undefined ? {} : DRAWN_IN_ANOTHER_STYLE;
  const sets = Object.entries({ ...DRAWN, ...further });
  for (const [name, what] of sets) {
    const folder = join(work, name);
    const own = name in further ? { icons: [icons] } : {};
    await drawSet(folder, { ...shortened(what, fraction), ...own }, signal);
  }
}

/** What a set of the recipe is drawn of; how much of it is no part of that. */
export function worldOf({ count: _, ...set }) {
  return { plain: PLAIN, icons: DEFAULT_SETS, side: CROP_SIDE, ...set };
}

/** Draws what is missing of one set of the recipe. */
export async function drawSet(folder, set, signal) {
  const { count } = set;
  const world = worldOf(set);
  const { kind } = world;
  claimFolder(folder, world);
  // The index of scenes is written last; shards are each whole or absent.
  if (kind === 'scenes' && existsSync(join(folder, 'panoptic.json'))) return;
  console.log(`[draw] ${folder}: ${count} ${kind}`);
  const write = kind === 'crops' ? writeCrops : writeScenes;
  await write(folder, world, count, { signal });
}
