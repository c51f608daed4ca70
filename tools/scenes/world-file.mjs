/** Which world a folder was drawn of, so that another is not mixed with it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Notes in `folder`, which is made, of what world its pictures are.
 *
 * @param {string} folder
 * @param {object} world see `draw`
 * @throws {Error} where they are of another seed, icon set or choice
 */
export function claimFolder(folder, world) {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'world.json');
  const own = `${JSON.stringify(world)}\n`;
  if (!existsSync(file)) writeFileSync(file, own);
  else if (readFileSync(file, 'utf8') !== own) {
    throw new Error(`${folder} is of another seed, icon set or choice: choose another folder`);
  }
}
