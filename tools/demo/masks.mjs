/** Trains the demo's decoders on a frozen CLIP, from the masks of seen classes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openDataset, panopticData, Trainer } from '../../dist/index.js';
import { CLASSES } from '../scenes/classes.mjs';
import { exportBundle } from './exporter.mjs';
import { follow } from './follow.mjs';
import { MASK_DATA, MASK_RUN, MASK_TRAINER } from './recipe.mjs';

/** Classes whose masks are trained on, as the trainer and the data both need them. */
const seenClasses = () =>
  CLASSES.filter(({ seen }) => seen).map(({ name, synonyms, thing }) => ({
    name,
    synonyms,
    thing,
  }));

const ABOUT = {
  source: 'trained from scratch on drawn scenes: masks of seen classes, captions of all',
  licence: 'Apache-2.0',
};

/** A trained CLIP with decoders at random. */
export async function startMasks(work, clip) {
  const start = join(work, 'masks-start.pt');
  if (!existsSync(start)) {
    const weights = ['--random-init', '--seed', '2', '--clip', clip];
    await exportBundle(['fc-clip', '--config', 'demo', ...weights], start);
  }
  return start;
}

/**
 * Writes NAME.pt for inference and NAME-trainable.pt to go on from.
 *
 * @param {string} work folder for runs and bundles
 * @param {string} start bundle to begin with
 * @param {string} scenes folder in COCO's panoptic layout
 * @param {object} [options]
 * @param {string} [options.name] of the run
 * @param {object} [options.run] length and learning rates
 * @param {object} [options.groups] changes of the parameter groups
 * @param {number} [options.seed]
 * @param {AbortSignal} [options.signal]
 * @returns {Promise<string>} path of the trained bundle
 */
export async function trainMasks(work, start, scenes, options = {}) {
  const { name = 'masks', groups, seed = 0, signal, run = MASK_RUN } = options;
  const out = join(work, `${name}.pt`);
  if (existsSync(out)) return out;
  const dataset = await openDataset('coco-panoptic', scenes, 'train');
  const vocabulary = seenClasses();
  const trainer = await Trainer.open(start, { ...MASK_TRAINER, groups, vocabulary, seed, signal });
  const data = panopticData(dataset, {
    ...MASK_DATA,
    classes: vocabulary.map((one) => one.name),
  });
  await follow(trainer.run(data, { ...run, folder: join(work, name), seed, signal }), name);
  signal?.throwIfAborted();
  await trainer.exportBundle(join(work, `${name}-trainable.pt`), { trainable: true, ...ABOUT });
  await trainer.exportBundle(out, { dtype: 'bfloat16', ...ABOUT });
  await trainer.dispose();
  return out;
}
