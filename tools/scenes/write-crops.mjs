/** Writes crops with captions as webdataset tar shards; finished shards are kept by a later run. */
import { createWriteStream, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { CLASSES, chosenClasses } from './classes.mjs';
import { draw } from './draw.mjs';
import { claimFolder } from './world-file.mjs';

/** Blocks of all classes in a shard. */
const BLOCKS = 7;

const shardPath = (folder, shard) => join(folder, `crops-${String(shard).padStart(5, '0')}.tar`);

/**
 * DIR/crops-00000.tar and so on: N.jpg beside N.json with `caption`, `captions` and `class`.
 * Each shard holds whole blocks of all classes, each class once per block.
 *
 * @param {number} count of crops; rounded up to whole shards
 */
export async function writeCrops(folder, world, count, options = {}) {
  claimFolder(folder, world);
  const perShard = BLOCKS * chosenClasses(world.classes, CLASSES).length;
  const shards = Math.ceil(count / perShard);
  const missing = Array.from({ length: shards }, (_, i) => i).filter(
    (shard) => !existsSync(shardPath(folder, shard)),
  );
  const indices = missing.flatMap((shard) =>
    Array.from({ length: perShard }, (_, i) => shard * perShard + i),
  );
  let done = (shards - missing.length) * perShard;
  const crops = draw(world, indices, options);
  for (const shard of missing) {
    const pack = tar.pack();
    const part = `${shardPath(folder, shard)}.part`;
    const written = pipeline(pack, createWriteStream(part));
    for (let i = 0; i < perShard; i++) {
      const { value: crop } = await crops.next();
      addCrop(pack, crop);
      options.progress?.(++done);
    }
    pack.finalize();
    await written;
    renameSync(part, shardPath(folder, shard));
  }
  await crops.return();
}

function addCrop(pack, { index, jpeg, captions, class: name }) {
  const key = String(index).padStart(8, '0');
  const fixed = { mtime: new Date(0), uid: 0, gid: 0 };
  pack.entry({ ...fixed, name: `${key}.jpg` }, Buffer.from(jpeg));
  const facts = JSON.stringify({ caption: captions[0], captions, class: name });
  pack.entry({ ...fixed, name: `${key}.json` }, facts);
}
