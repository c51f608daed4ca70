/** Trains the demo's decoders on a frozen CLIP, from the masks of seen classes. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openDataset, panopticData, Trainer } from '../../dist/index.js';
import { CLASSES, chosenClasses } from '../scenes/classes.mjs';
import { exportBundle } from './exporter.mjs';
import { follow } from './follow.mjs';
import { FROZEN, MASK_DATA, MASK_PHASES, MASK_TRAINER, shortened, TUNED } from './recipe.mjs';

/** Classes whose masks are trained on, as the trainer and the data both need them. */
const trainedClasses = (choice) =>
  chosenClasses(choice, CLASSES).map(({ name, synonyms, thing }) => ({ name, synonyms, thing }));

const ABOUT = {
  source: 'trained from scratch on drawn scenes: masks of seen classes, captions of all',
  licence: 'Apache-2.0',
};

/** A trained CLIP with decoders at random. */
async function startMasks(work, clip) {
  const start = join(work, 'masks-start.pt');
  if (!existsSync(start)) {
    const weights = ['--random-init', '--seed', '2', '--clip', clip];
    await exportBundle(['fc-clip', '--config', 'demo', ...weights], start);
  }
  return start;
}

const trainable = (bundle) => bundle.replace(/\.pt$/, '-trainable.pt');

/** Where the bundle of a phase is, or will be; its like to go on from ends in -trainable. */
const phaseBundle = (work, { name }) => join(work, `masks-${name}.pt`);

/** Where the bundle of the last phase is, or will be. */
export const masksBundle = (work) => phaseBundle(work, MASK_PHASES.at(-1));

/** All phases, from decoders at random; `fraction` of the recipe. */
export async function trainMasks({ work, fraction, signal }, clip) {
  let start = await startMasks(work, clip);
  for (const { name, ...run } of MASK_PHASES) {
    const length = shortened(run, fraction);
    await trainMaskRun(work, start, { ...length, name: `masks-${name}` }, signal);
    start = trainable(phaseBundle(work, { name }));
  }
}

/** Where the bundle is that a tuned image tower is compared with. */
export const frozenBundle = (work) => phaseBundle(work, FROZEN);

/** The same phase with the image tower tuned. */
export function trainTuned({ work, fraction, signal }) {
  const start = trainable(phaseBundle(work, MASK_PHASES[MASK_PHASES.indexOf(FROZEN) - 1]));
  const run = { ...shortened(TUNED, fraction), name: `masks-${TUNED.name}` };
  return trainMaskRun(work, start, run, signal);
}

/**
 * Writes NAME.pt for inference and NAME-trainable.pt to go on from.
 *
 * @param {string} work folder of the drawn sets, for runs and bundles
 * @param {string} start bundle to begin with
 * @param {object} run
 * @param {string} run.name
 * @param {string} run.scenes drawn set in COCO's panoptic layout, in `work` or by its whole path
 * @param {string} [run.choice] of classes whose masks are trained on
 * @param {object} run.data of the recipe's, by run
 * @param {object} [run.groups] changes of the parameter groups
 * @param {number} [run.seed]
 * @param {AbortSignal} [signal]
 * @returns {Promise<string>} path of the trained bundle
 */
export async function trainMaskRun(work, start, run, signal) {
  const { name, scenes, choice = 'seen', data: size, groups, seed = 0, ...schedule } = run;
  const out = join(work, `${name}.pt`);
  if (existsSync(out)) return out;
  const dataset = await openDataset('coco-panoptic', resolve(work, scenes), 'train');
  const vocabulary = trainedClasses(choice);
  const trainer = await Trainer.open(start, { ...MASK_TRAINER, groups, vocabulary, seed, signal });
  const classes = vocabulary.map((one) => one.name);
  const data = panopticData(dataset, { ...MASK_DATA, ...size, classes });
  await follow(trainer.run(data, { ...schedule, folder: join(work, name), seed, signal }), name);
  signal?.throwIfAborted();
  await trainer.exportBundle(trainable(out), { trainable: true, ...ABOUT });
  await trainer.exportBundle(out, { dtype: 'bfloat16', ...ABOUT });
  await trainer.dispose();
  return out;
}
