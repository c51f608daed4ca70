/** Draws what the demo is trained on and measured with; goes on where it was stopped. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_SETS } from '../scenes/icon-set.mjs';
import { writeCrops } from '../scenes/write-crops.mjs';
import { writeScenes } from '../scenes/write-scenes.mjs';
import { DRAWN, PLAIN } from './recipe.mjs';

/**
 * @param {string} work folder that gets a folder for each set
 * @param {AbortSignal} [signal]
 * @param {string} [icons] one more icon set, for pictures in a style that training never saw
 */
export async function drawData(work, signal, icons) {
  const sets = Object.entries(DRAWN).map(([name, what]) => [
    name,
    { ...what, icons: DEFAULT_SETS },
  ]);
  if (icons !== undefined) {
    const checks = sets.filter(([name]) => name.endsWith('-check'));
    for (const [name, what] of checks) sets.push([`${name}-style`, { ...what, icons: [icons] }]);
  }
  for (const [name, { kind, count, seed, classes, icons: from }] of sets) {
    const folder = join(work, name);
    const world = { kind, seed, icons: from, classes, plain: PLAIN };
    // The index of scenes is written last; shards are each whole or absent.
    if (kind === 'scenes' && existsSync(join(folder, 'panoptic.json'))) continue;
    console.log(`[draw] ${name}: ${count} ${kind}`);
    const write = kind === 'crops' ? writeCrops : writeScenes;
    await write(folder, world, count, { signal });
  }
}
