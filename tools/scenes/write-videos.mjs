/** Writes moving scenes in VIPSeg's layout; videos that are whole are kept by a later run. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VIDEO_CLASSES } from './classes.mjs';
import { draw } from './draw.mjs';
import { claimFolder } from './world-file.mjs';

const nameOf = (index) => `video-${String(index).padStart(4, '0')}`;
const frameOf = (index) => String(index).padStart(5, '0');

/**
 * DIR/imgs/VIDEO/*.jpg, DIR/panomasks/VIDEO/*.png, DIR/val.txt and DIR/panoVIPSeg_categories.json.
 *
 * @param {string} folder
 * @param {object} world see `draw`
 * @param {number} count of videos
 * @param {{ threads?: number, signal?: AbortSignal, progress?: (done: number) => void }} options
 */
export async function writeVideos(folder, world, count, options = {}) {
  claimFolder(folder, world);
  const images = join(folder, 'imgs');
  const maps = join(folder, 'panomasks');
  const indices = Array.from({ length: count }, (_, index) => index);
  // The folder of frames gets its name last.
  const missing = indices.filter((index) => !existsSync(join(images, nameOf(index))));
  let done = count - missing.length;
  for await (const { index, frames } of draw(world, missing, options)) {
    const name = nameOf(index);
    const part = join(images, `.${name}`);
    for (const place of [part, join(maps, name)]) {
      rmSync(place, { recursive: true, force: true });
      mkdirSync(place, { recursive: true });
    }
    for (const [t, { jpeg, png }] of frames.entries()) {
      writeFileSync(join(part, `${frameOf(t)}.jpg`), jpeg);
      writeFileSync(join(maps, name, `${frameOf(t)}.png`), png);
    }
    renameSync(part, join(images, name));
    options.progress?.(++done);
  }
  const categories = VIDEO_CLASSES.map(({ name, synonyms, thing, seen }, id) => ({
    id,
    name,
    synonyms,
    isthing: thing ? 1 : 0,
    seen,
  }));
  writeFileSync(join(folder, 'panoVIPSeg_categories.json'), `${JSON.stringify(categories)}\n`);
  writeFileSync(join(folder, 'val.txt'), indices.map((index) => `${nameOf(index)}\n`).join(''));
}
