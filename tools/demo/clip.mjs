/** Trains the demo's CLIP: phases of contrastive training on crops with captions. */
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openImageText, Trainer } from '../../dist/index.js';
import { exportBundle } from './exporter.mjs';
import { follow } from './follow.mjs';
import { CLIP_DATA, CLIP_PHASES, CLIP_TRAINER, shortened } from './recipe.mjs';

/** Where the bundle of the last phase is, or will be. */
export const clipBundle = (work) => join(work, `clip-${CLIP_PHASES.at(-1).name}.pt`);

/** A set's folder, or one that holds links to the shards of several. */
function folderOf(drawn, crops) {
  if (typeof crops === 'string') return join(drawn, crops);
  const folder = join(drawn, crops.join('+'));
  mkdirSync(folder, { recursive: true });
  for (const set of crops) {
    for (const shard of readdirSync(join(drawn, set)).filter((name) => name.endsWith('.tar'))) {
      const link = join(folder, `${set}-${shard}`);
      if (!existsSync(link)) symlinkSync(join(drawn, set, shard), link);
    }
  }
  return folder;
}

/**
 * @param {object} run
 * @param {string} run.work folder of the drawn crops, for runs and bundles
 * @param {number} run.fraction of the recipe
 * @param {AbortSignal} [run.signal]
 * @returns {Promise<string>} path of the trained bundle
 */
export async function trainClip({ work, fraction, signal }) {
  let bundle = join(work, 'clip-start.pt');
  if (!existsSync(bundle)) {
    await exportBundle(['clip', '--config', 'demo', '--random-init', '--seed', '1'], bundle);
  }
  for (const [index, { name, crops, data: size, ...run }] of CLIP_PHASES.entries()) {
    const next = join(work, `clip-${name}.pt`);
    if (!existsSync(next)) {
      const trainer = await Trainer.open(bundle, { ...CLIP_TRAINER, signal });
      const data = await openImageText(folderOf(work, crops), trainer.tokenizer, {
        ...CLIP_DATA,
        ...size,
      });
      const folder = join(work, `clip-${name}`);
      await follow(
        trainer.run(data, { ...shortened(run, fraction), folder, seed: index, signal }),
        `clip ${name}`,
      );
      signal?.throwIfAborted();
      await trainer.exportBundle(next, {
        trainable: true,
        source: 'trained from scratch on drawn icons and their captions',
        licence: 'Apache-2.0',
      });
      await data.close();
      await trainer.dispose();
    }
    bundle = next;
  }
  return bundle;
}
