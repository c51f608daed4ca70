/** A small vision transformer that learned captions of drawn crops, for the claims that start from one. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openImageText, Trainer } from '../../dist/index.js';
import { exportBundle } from '../demo/exporter.mjs';
import { follow } from '../demo/follow.mjs';
import { CLIP_DATA, CLIP_TRAINER } from '../demo/recipe.mjs';

/** Of the images that it sees, pixels. */
export const SIDE = 128;

/** Most is learned from small pictures, a third of the time each; the patches' grid from large ones. */
const PHASES = [
  {
    name: 'coarse',
    imageSize: SIDE / 2,
    run: {
      steps: 2_400,
      learningRate: 1e-3,
      schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.2 },
    },
  },
  {
    name: 'fine',
    imageSize: SIDE,
    run: {
      steps: 300,
      learningRate: 4e-4,
      schedule: { kind: 'cosine', warmUpSteps: 30, final: 0.01 },
    },
  },
];
const BATCH = 192;

/** What bundles of the claims say of their weights. */
export const ABOUT = {
  source: 'trained from scratch on drawn icons and their captions',
  licence: 'Apache-2.0',
};

/**
 * Trains on image-text data until the run is over.
 *
 * @param {import('../../dist/index.js').Trainer} trainer
 * @param {string} captions folder of shards, or a file of captions
 * @param {object} settings
 * @param {string} settings.name told of the run
 * @param {string} settings.folder of the run
 * @param {object} settings.run length and learning rates
 * @param {object} settings.data of the images
 */
export async function trainOnCaptions(
  trainer,
  captions,
  { name, folder, run, seed, data, signal },
) {
  const source = await openImageText(captions, trainer.tokenizer, { imageSize: SIDE, ...data });
  await follow(trainer.run(source, { ...run, folder, seed, signal }), name);
  signal.throwIfAborted();
  await source.close();
}

/**
 * Path of the trained bundle, in a folder that the claims share.
 *
 * @param {{ towers: string, crops: string, signal: AbortSignal }} where
 */
export async function trainTower({ towers, crops, signal }) {
  mkdirSync(towers, { recursive: true });
  let bundle = join(towers, 'clip-start.pt');
  if (!existsSync(bundle)) {
    await exportBundle(['clip', '--config', 'demo_vit', '--random-init', '--seed', '1'], bundle);
  }
  for (const [seed, { name, imageSize, run }] of PHASES.entries()) {
    const next = join(towers, `clip-${name}.pt`);
    if (!existsSync(next)) {
      const trainer = await Trainer.open(bundle, { ...CLIP_TRAINER, signal });
      const data = { ...CLIP_DATA, pairedCaptions: true, batchSize: BATCH, imageSize };
      const settings = { name: `tower ${name}`, folder: join(towers, name), run, seed, data };
      await trainOnCaptions(trainer, crops, { ...settings, signal });
      await trainer.exportBundle(next, { trainable: true, ...ABOUT });
      await trainer.dispose();
    }
    bundle = next;
  }
  return bundle;
}
