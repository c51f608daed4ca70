/** Writes scenes as a COCO panoptic data set with captions; goes on where an earlier run stopped. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { categories } from './classes.mjs';
import { draw } from './draw.mjs';
import { claimFolder } from './world-file.mjs';

const nameOf = (index) => String(index + 1).padStart(6, '0');

/**
 * DIR/images/*.jpg, DIR/panoptic/*.png, DIR/panoptic.json and DIR/captions.jsonl.
 *
 * @param {string} folder
 * @param {object} world see `draw`
 * @param {number} count
 * @param {{ threads?: number, signal?: AbortSignal, progress?: (done: number) => void }} options
 */
export async function writeScenes(folder, world, count, options = {}) {
  claimFolder(folder, world);
  for (const name of ['images', 'panoptic']) mkdirSync(join(folder, name), { recursive: true });
  const journal = join(folder, 'journal.jsonl');
  const done = readJournal(journal);
  const missing = Array.from({ length: count }, (_, index) => index).filter((i) => !done.has(i));
  for await (const scene of draw(world, missing, options)) {
    const { index, jpeg, png, ...facts } = scene;
    writeFileSync(join(folder, 'images', `${nameOf(index)}.jpg`), jpeg);
    writeFileSync(join(folder, 'panoptic', `${nameOf(index)}.png`), png);
    appendFileSync(journal, `${JSON.stringify({ index, ...facts })}\n`);
    done.set(index, { index, ...facts });
    options.progress?.(done.size);
  }
  const scenes = [...done.values()]
    .filter(({ index }) => index < count)
    .sort((a, b) => a.index - b.index);
  writeWhole(join(folder, 'panoptic.json'), JSON.stringify(panopticFile(scenes, world)));
  writeWhole(join(folder, 'captions.jsonl'), scenes.map(captionLine).join(''));
  rmSync(journal, { force: true });
}

/** What an earlier run drew. */
function readJournal(journal) {
  if (!existsSync(journal)) return new Map();
  const lines = readFileSync(journal, 'utf8').split('\n').slice(0, -1);
  return new Map(lines.map((line) => JSON.parse(line)).map((scene) => [scene.index, scene]));
}

function panopticFile(scenes, { seed, icons, classes }) {
  return {
    info: {
      description: `Drawn scenes of ${classes} classes, seed ${seed}, from ${icons.join(', ')}`,
      version: '1',
    },
    images: scenes.map(({ index, width, height }) => ({
      id: index + 1,
      file_name: `${nameOf(index)}.jpg`,
      width,
      height,
    })),
    annotations: scenes.map(({ index, segments }) => ({
      image_id: index + 1,
      file_name: `${nameOf(index)}.png`,
      segments_info: segments,
    })),
    categories: categories(),
  };
}

const captionLine = ({ index, captions }) =>
  `${JSON.stringify({ image: `images/${nameOf(index)}.jpg`, captions })}\n`;

function writeWhole(path, text) {
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}
