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

const BATCH = 192;

const RUN = {
  learningRate: 1e-3,
  schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.01 },
};

/** Whose text tower the first image tower learns to meet, and which stays as it is. */
const TEXTS = fileURLToPath(new URL('../../models/bundles/demo-fc-clip.pt', import.meta.url));

const TOWERS = {
  clip: { seed: 1, texts: TEXTS, steps: 1_500 },
  /** From other weights, with a text tower of its own. */
  short: { seed: 7, texts: undefined, steps: 600 },
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
 * @param {{ towers: string, crops: string, signal: AbortSignal }} where
 * @param {keyof typeof TOWERS} [name]
 */
export async function trainTower({ towers, crops, signal }, name = 'clip') {
  const { seed, texts, steps } = TOWERS[name];
  mkdirSync(towers, { recursive: true });
  const trained = join(towers, `${name}.pt`);
  if (existsSync(trained)) return trained;
  const start = join(towers, `${name}-start.pt`);
  if (!existsSync(start)) {
    const random = ['--random-init', '--seed', String(seed)];
    const text = texts === undefined ? [] : ['--text', texts];
    await exportBundle(['clip', '--config', 'demo_vit', ...random, ...text], start);
  }
  const groups = texts === undefined ? {} : { text_encoder: { frozen: true } };
  const trainer = await Trainer.open(start, { ...CLIP_TRAINER, groups, signal });
  // Texts that stay as they are have nothing to learn from each other.
  const data = { ...CLIP_DATA, pairedCaptions: texts === undefined, batchSize: BATCH };
  const run = { ...RUN, steps };
  const folder = join(towers, name);
  await trainOnCaptions(trainer, crops, { name: `tower ${name}`, folder, run, seed, data, signal });
  await trainer.exportBundle(trained, { trainable: true, ...ABOUT });
  await trainer.dispose();
  return trained;
}
