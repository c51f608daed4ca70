/** A CLIP that knows masked crops: mask prompts, mined pairs, and both, beside CLIP as it was. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  evaluate,
  minePairs,
  openCaptions,
  openDataset,
  Segmenter,
  Trainer,
} from '../../dist/index.js';
import { drawSet, worldOf } from '../demo/draw-data.mjs';
import { exportBundle } from '../demo/exporter.mjs';
import { DRAWN } from '../demo/recipe.mjs';
import { zeroShotAccuracy } from '../demo/zero-shot.mjs';
import { CLASSES } from '../scenes/classes.mjs';
import { claimFolder } from '../scenes/world-file.mjs';
import { drawn } from './drawn.mjs';
import { ABOUT, trainOnCaptions, trainTower } from './tower.mjs';
import { trueCrops, writeTruePairs } from './true-crops.mjs';

/** Whose masks are mined from and named. */
const PROPOSER = fileURLToPath(new URL('../../models/bundles/demo-fc-clip.pt', import.meta.url));
const SEEDS = [1, 2];
/** Scenes of all classes: their captions name what is there, and no mask of them is used. */
const CAPTIONED = { ...DRAWN.scenes, count: 2_000, seed: 6, classes: 'all' };
/** Scenes that are segmented. */
const SCENES = 60;

const TRAINER = { precision: 'bfloat16', gradientClip: 1 };
const FINE_TUNING = {
  trainer: { optimizer: { kind: 'adamw', weightDecay: 0.1, betas: [0.9, 0.98], epsilon: 1e-6 } },
  run: {
    steps: 200,
    learningRate: 2e-4,
    schedule: { kind: 'cosine', warmUpSteps: 20, final: 0.01 },
  },
};
const PROMPTING = {
  trainer: { optimizer: { kind: 'adamw', weightDecay: 0, betas: [0.9, 0.98], epsilon: 1e-6 } },
  groups: { image_tower: { frozen: true } },
  run: {
    steps: 360,
    learningRate: 2e-2,
    schedule: { kind: 'cosine', warmUpSteps: 20, final: 0.01 },
  },
};
const DATA = { batchSize: 128, crop: { area: [0.9, 1], aspect: [0.75, 1.33] }, flip: 0 };

export const claim =
  'Mask prompts alone make CLIP better on masked crops, fine-tuning on mined pairs more so, and both ' +
  'together best; mined words teach unseen classes what fixed classes do not; segmentation follows.';

export const metrics = [
  { key: 'all', label: 'accuracy on masked crops, %', digits: 1 },
  { key: 'seen', label: 'of seen classes, %', digits: 1 },
  { key: 'unseen', label: 'of unseen classes, %', digits: 1 },
  { key: 'miou', label: 'mIoU with proposed masks, %', digits: 1 },
];

/**
 * @param {{ work: string, shared: string, icons?: string[], stages: import('./stages.mjs').Stages,
 *   signal: AbortSignal }} options
 */
export async function run({ work, shared, icons, stages, signal }) {
  const sets = await drawn(join(shared, 'drawn'), ['crops', 'scenes-check'], {
    icons,
    stages,
    signal,
  });
  const towers = join(shared, 'towers');
  const clip = await trainTower({ towers, crops: sets.crops, stages, signal });
  const pairs = await findPairs(work, { icons, stages, signal });
  const at = (name) => join(work, `${name}.pt`);
  const stock = await startFrom(clip, 'demo_regions', 0, { out: at('stock'), stages });
  const rows = [];
  const note = async (name, bundle) => {
    const row = rows.find((one) => one.name === name) ?? { name, values: {} };
    if (!rows.includes(row)) rows.push(row);
    for (const [key, value] of Object.entries(await scores(bundle, sets['scenes-check'], signal))) {
      row.values[key] = [...(row.values[key] ?? []), value];
    }
  };
  await note('CLIP', stock);
  for (const seed of SEEDS) {
    const adapt = (name, start, how, file) =>
      adaptClip(
        { out: at(`${name}-${seed}`), folder: join(work, `${name}-${seed}`), stages },
        start,
        {
          ...how,
          seed,
          pairs: file,
          signal,
        },
      );
    const from = (bundle, name) =>
      startFrom(bundle, 'demo_prompts_regions', seed, { out: at(`${name}-${seed}`), stages });
    await note(
      'mask prompts',
      await adapt('prompts', await from(clip, 'prompts-start'), PROMPTING, pairs.mined),
    );
    const tuned = await adapt('tuned', stock, FINE_TUNING, pairs.mined);
    await note('fine-tuned', tuned);
    await note(
      'fine-tuned, then prompts',
      await adapt('both', await from(tuned, 'both-start'), PROMPTING, pairs.mined),
    );
    await note('fine-tuned, fixed classes', await adapt('fixed', stock, FINE_TUNING, pairs.fixed));
  }
  const notes = [
    `${pairs.report.pairs} pairs of ${pairs.report.uniqueNouns} nouns mined from the captions of ` +
      `${CAPTIONED.count} scenes of all classes with the masks of the demo bundle; as many pairs of ` +
      'true masks and seen classes from the same scenes. Scored on the true segments of 300 scenes ' +
      `that nothing was trained on, and on ${SCENES} of them with proposed masks and CLIP alone.`,
    'Pairs of fixed classes are cut by true masks, mined ones by proposed masks: that alone makes ' +
      'them better pupils of seen classes.',
    'Texts are bare names: the text tower never met the sentences of templates.',
  ];
  return { seeds: SEEDS, rows, notes };
}

/** Pairs by captions, and as many by true masks of seen classes. */
async function findPairs(work, { icons, stages, signal }) {
  const scenes = join(work, 'scenes-captioned');
  const world = icons === undefined ? CAPTIONED : { ...CAPTIONED, icons };
  claimFolder(scenes, worldOf(world));
  await stages.make(join(scenes, 'panoptic.json'), () => drawSet(scenes, world, signal));
  const folder = join(work, 'mined');
  const told = join(work, 'mined.json');
  await stages.make(told, async () => {
    writeFileSync(told, JSON.stringify(await mine(scenes, folder, signal)));
  });
  const report = JSON.parse(readFileSync(told, 'utf8'));
  const fixed = join(work, 'fixed');
  mkdirSync(fixed, { recursive: true });
  await stages.make(join(fixed, 'pairs.tsv'), async () => {
    const seen = new Set(CLASSES.filter((one) => one.seen).map(({ name }) => name));
    const dataset = await openDataset('coco-panoptic', scenes);
    const crops = trueCrops(dataset, (name) => seen.has(name));
    await writeTruePairs(fixed, crops, report.pairs);
  });
  return { mined: join(folder, 'pairs.tsv'), fixed: join(fixed, 'pairs.tsv'), report };
}

/** Pairs by captions, written into `folder`. */
async function mine(scenes, folder, signal) {
  const proposer = await Segmenter.load(PROPOSER);
  let told = 0;
  const onProgress = ({ done, total, pairs }) => {
    if (Date.now() - told < 10_000) return;
    told = Date.now();
    console.log(`[ovseg] mining ${done} of ${total} images, ${pairs} pairs`);
  };
  const captions = await openCaptions(join(scenes, 'captions.jsonl'));
  const report = await minePairs(proposer, captions, folder, { signal, onProgress });
  await proposer.dispose();
  return report;
}

/** A bundle to train, with the towers of another. */
async function startFrom(clip, config, seed, { out, stages }) {
  const random = ['--random-init', '--seed', String(seed), '--clip', clip];
  await stages.make(out, () => exportBundle(['ovseg', '--config', config, ...random], out));
  return out;
}

async function adaptClip(
  { out, folder, stages },
  start,
  { trainer: settings, groups, run: length, seed, pairs, signal },
) {
  await stages.make(out, async () => {
    const trainer = await Trainer.open(start, { ...TRAINER, ...settings, groups, seed, signal });
    const run = { name: basename(folder), folder, run: length, seed, data: DATA, signal };
    await trainOnCaptions(trainer, pairs, run);
    await trainer.exportBundle(out, { trainable: true, ...ABOUT });
    await trainer.dispose();
  });
  return out;
}

/** Accuracy on true segments, and mIoU where the demo bundle proposes the masks. */
async function scores(bundle, scenes, signal) {
  const dataset = await openDataset('coco-panoptic', scenes);
  const proposer = await Segmenter.load(PROPOSER);
  const options = { masksFrom: proposer, ensemble: { alpha: 1, beta: 1 } };
  const segmenter = await Segmenter.load(bundle, options);
  try {
    const { top1, seen, unseen } = await zeroShotAccuracy(segmenter, trueCrops(dataset));
    const report = await evaluate(segmenter, dataset, {
      tasks: ['semantic'],
      limit: SCENES,
      signal,
    });
    const shares = { all: top1, seen, unseen, miou: report.groups.all.semantic.miou };
    const found = Object.fromEntries(
      Object.entries(shares).map(([key, share]) => [key, 100 * share]),
    );
    console.log(`[ovseg] ${bundle}: ${JSON.stringify(found)}`);
    return found;
  } finally {
    await segmenter.dispose();
    await proposer.dispose();
  }
}
