/** Patches that meet words: a trained embedder against CLIP's own projection of patch tokens. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { evaluate, evaluatePatches, openDataset, Segmenter, Trainer } from '../../dist/index.js';
import { exportBundle } from '../demo/exporter.mjs';
import { CLIP_DATA } from '../demo/recipe.mjs';
import { crops as cropsOf, zeroShotAccuracy } from '../demo/zero-shot.mjs';
import { CLASSES } from '../scenes/classes.mjs';
import { drawn } from './drawn.mjs';
import { ABOUT, SIDE, trainOnCaptions, trainTower } from './tower.mjs';

/** Trained once each; the second is shared with other claims. Configs say how images are read. */
const TOWERS = {
  pooled: { label: 'the first tower', config: 'demo' },
  clip: { label: 'the second', config: 'demo_vit' },
};
/** Of the embedder. */
const SEEDS = [1, 2];
const EMBEDDER_RUN = {
  steps: 600,
  learningRate: 5e-3,
  schedule: { kind: 'cosine', warmUpSteps: 30, final: 0.01 },
};
const EMBEDDER_BATCH = 128;
const EMBEDDER_TRAINER = {
  precision: 'bfloat16',
  optimizer: { kind: 'adamw', weightDecay: 0.05 },
  gradientClip: 1,
};
const SCENES = 100;

export const claim =
  'The embedder, trained on captions alone, at least doubles the mIoU of CLIP patch tokens and ' +
  'classifies patches far better; whole images are classified no worse.';

export const metrics = [
  { key: 'miou', label: 'mIoU, %', digits: 2 },
  { key: 'patches', label: 'patch accuracy, %', digits: 1 },
  { key: 'images', label: 'image classification, top-1 %', digits: 1 },
  { key: 'coherence', label: 'coherence of tokens, AUC', digits: 3 },
];

/**
 * @param {{ work: string, shared: string, icons?: string[], stages: import('./stages.mjs').Stages,
 *   signal: AbortSignal }} options
 */
export async function run({ work, shared, icons, stages, signal }) {
  const towers = join(shared, 'towers');
  const sets = await drawn(join(shared, 'drawn'), ['crops', 'crops-check', 'scenes-check'], {
    icons,
    stages,
    signal,
  });
  const rows = [];
  for (const [name, { label, config }] of Object.entries(TOWERS)) {
    const clip = await trainTower({ towers, crops: sets.crops, stages, signal }, name);
    const plain = join(work, `plain-${name}.pt`);
    await stages.make(plain, () => exportFrom(clip, `${config}_plain`, 0, plain));
    const before = await scores(plain, sets, { pooled: false, signal });
    const row = { name: `PACL on ${label}`, values: {} };
    for (const seed of SEEDS) {
      const bundle = join(work, `pacl-${name}-${seed}.pt`);
      const tower = { work, clip, name, config };
      await stages.make(bundle, () => trainEmbedder(bundle, tower, sets.crops, seed, signal));
      const after = await scores(bundle, sets, { pooled: true, signal });
      for (const [key, value] of after) row.values[key] = [...(row.values[key] ?? []), value];
    }
    const values = Object.fromEntries(before.map(([key, value]) => [key, [value]]));
    rows.push({ name: `patch tokens of ${label}`, values }, row);
  }
  const notes = [
    "Two small vision transformers, trained with CLIP's loss on crops of all classes to meet the " +
      'text tower of the demo bundle. A learned query reads the patches of the first, which saw ' +
      `single crops (900 steps) and then many on one canvas (1,500); the second has CLIP's class ` +
      `token and saw single crops alone (1,500). Scored on ${SCENES} scenes and on 4,046 crops, ` +
      `${SIDE} pixels wide, that no training saw; classes by their bare names. Whole images are ` +
      'named by what CLIP embeds before, by patches that each class weighs for itself after. ' +
      'Nothing was trained on masks.',
  ];
  return { seeds: SEEDS, rows, notes };
}

const exportFrom = (clip, config, seed, out) =>
  exportBundle(
    ['pacl', '--config', config, '--random-init', '--seed', String(seed), '--clip', clip],
    out,
  );

async function trainEmbedder(bundle, { work, clip, name, config }, crops, seed, signal) {
  const start = join(work, `pacl-start-${name}-${seed}.pt`);
  if (!existsSync(start)) await exportFrom(clip, config, seed, start);
  const trainer = await Trainer.open(start, { ...EMBEDDER_TRAINER, seed, signal });
  const folder = join(work, `embedder-${name}-${seed}`);
  const data = { ...CLIP_DATA, pairedCaptions: false, batchSize: EMBEDDER_BATCH };
  const settings = {
    name: `embedder ${seed} on ${name}`,
    folder,
    run: EMBEDDER_RUN,
    seed,
    data,
    signal,
  };
  await trainOnCaptions(trainer, crops, settings);
  await trainer.exportBundle(bundle, { dtype: 'bfloat16', ...ABOUT });
  await trainer.dispose();
}

/** Share of crops that are classified right: by the class token, or `pooled` by each class for itself. */
async function imageAccuracy(bundle, folder, pooled) {
  // Crops are of the size that the tower was trained with; scenes are larger.
  const segmenter = await Segmenter.load(bundle, { shortestEdge: SIDE });
  if (!pooled) {
    const { top1 } = await zeroShotAccuracy(segmenter, cropsOf(folder));
    await segmenter.dispose();
    return top1;
  }
  const vocabulary = await segmenter.createVocabulary(CLASSES.map(({ name }) => name));
  let [right, all] = [0, 0];
  let batch = [];
  const score = async () => {
    const images = batch.map(({ image }) => image);
    const found = await segmenter.classifyImages(images, vocabulary, { batchSize: 64 });
    right += found.filter(({ best }, i) => best.className === batch[i].name).length;
    all += batch.length;
    batch = [];
  };
  for await (const crop of cropsOf(folder)) {
    batch.push(crop);
    if (batch.length === 256) await score();
  }
  if (batch.length > 0) await score();
  vocabulary.dispose();
  await segmenter.dispose();
  return right / all;
}

/**
 * Pairs of a metric's key and its value; images by the class token, or `pooled` from patches.
 */
async function scores(bundle, sets, { pooled, signal }) {
  const segmenter = await Segmenter.load(bundle);
  try {
    const dataset = await openDataset('coco-panoptic', sets['scenes-check']);
    const options = { limit: SCENES, signal };
    const { accuracy, coherence } = await evaluatePatches(segmenter, dataset, options);
    const report = await evaluate(segmenter, dataset, { tasks: ['semantic'], ...options });
    const top1 = await imageAccuracy(bundle, sets['crops-check'], pooled);
    const found = {
      miou: 100 * report.groups.all.semantic.miou,
      patches: 100 * accuracy.all,
      images: 100 * top1,
      coherence: coherence.auc,
    };
    console.log(`[pacl] ${bundle}: ${JSON.stringify(found)}`);
    return Object.entries(found);
  } finally {
    await segmenter.dispose();
  }
}
