/** Trains the demo's CLIP: two phases of contrastive training on crops with captions. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openImageText, Trainer } from '../../dist/index.js';
import { exportBundle } from './exporter.mjs';
import { follow } from './follow.mjs';
import { CLIP_DATA, CLIP_PHASES, CLIP_TRAINER } from './recipe.mjs';

/**
 * @param {string} work folder for runs and bundles
 * @param {string} crops folder of shards
 * @returns {Promise<string>} path of the trained bundle
 */
export async function trainClip(work, crops, signal) {
  let bundle = join(work, 'clip-start.pt');
  if (!existsSync(bundle)) {
    await exportBundle(['clip', '--config', 'demo', '--random-init', '--seed', '1'], bundle);
  }
  for (const [index, { name, data: size, ...run }] of CLIP_PHASES.entries()) {
    const next = join(work, `clip-${name}.pt`);
    if (!existsSync(next)) {
      const trainer = await Trainer.open(bundle, { ...CLIP_TRAINER, signal });
      const data = await openImageText(crops, trainer.tokenizer, { ...CLIP_DATA, ...size });
      const folder = join(work, `clip-${name}`);
      await follow(trainer.run(data, { ...run, folder, seed: index, signal }), `clip ${name}`);
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
