/** A small vision transformer that learned captions of drawn crops, for the claims that start from one. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openImageText, Trainer } from '../../dist/index.js';
import { exportBundle } from '../demo/exporter.mjs';
import { follow } from '../demo/follow.mjs';
import { CLIP_DATA, CLIP_TRAINER } from '../demo/recipe.mjs';

/** Of the images that it sees, pixels. */
export const SIDE = 64;

/** One crop on each image. */
const CROPS = {
  name: 'crops',
  learningRate: 1e-3,
  schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.01 },
  data: { batchSize: 192, imageSize: SIDE },
};

/** Many on each: patches learn to tell neighbours and sizes apart. */
const MOSAICS = {
  name: 'mosaics',
  learningRate: 8e-4,
  schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.003 },
  data: { batchSize: 174, imageSize: 160, mosaic: { bands: [2, 2, 3, 3, 3, 4, 4, 4, 4] } },
};

const SEED = 1;

/** Whose text tower the image towers learn to meet, and which stays as it is. */
const TEXTS = fileURLToPath(new URL('../../models/bundles/demo-fc-clip.pt', import.meta.url));

const TOWERS = {
  clip: { config: 'demo_vit', phases: [{ ...CROPS, steps: 1_500 }] },
  /** Whose patches are read by a learned query. */
  pooled: {
    config: 'demo_pooled',
    phases: [
      { ...CROPS, steps: 900 },
      { ...MOSAICS, steps: 1_500 },
    ],
  },
};

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
 * @param {{ towers: string, crops: string, stages: import('./stages.mjs').Stages,
 *   signal: AbortSignal }} where
 * @param {keyof typeof TOWERS} [name]
 */
export async function trainTower({ towers, crops, stages, signal }, name = 'clip') {
  mkdirSync(towers, { recursive: true });
  const trained = join(towers, `${name}.pt`);
  await stages.make(trained, () => trainPhases({ towers, crops, signal }, name, trained));
  return trained;
}

/** From a tower at random, or from where it was stopped, to `trained`. */
async function trainPhases({ towers, crops, signal }, name, trained) {
  const { config, phases } = TOWERS[name];
  let bundle = join(towers, `${name}-start.pt`);
  if (!existsSync(bundle)) {
    const random = ['--random-init', '--seed', String(SEED)];
    await exportBundle(['clip', '--config', config, ...random, '--text', TEXTS], bundle);
  }
  const groups = { text_encoder: { frozen: true } };
  for (const [i, { name: phase, data, ...run }] of phases.entries()) {
    const out = i === phases.length - 1 ? trained : join(towers, `${name}-${phase}.pt`);
    if (!existsSync(out)) {
      const trainer = await Trainer.open(bundle, { ...CLIP_TRAINER, groups, signal });
      await trainOnCaptions(trainer, crops, {
        name: `tower ${name}, ${phase}`,
        folder: join(towers, phases.length === 1 ? name : `${name}-${phase}`),
        run,
        seed: SEED + i,
        // Texts that stay as they are have nothing to learn from each other.
        data: { ...CLIP_DATA, pairedCaptions: false, ...data },
        signal,
      });
      await trainer.exportBundle(out, { trainable: true, ...ABOUT });
      await trainer.dispose();
    }
    bundle = out;
  }
}
