/**
 * Trains a bundle on pictures with captions, as a run in a folder.
 *
 *   node train-run.mjs BUNDLE DATA FOLDER STEPS
 */
import { openImageText, Trainer } from '../../dist/index.js';

const [bundle, captions, folder, steps] = process.argv.slice(2);
const trainer = await Trainer.open(bundle, {
  device: 'cpu',
  threads: 1,
  ema: 0.9,
  gradientClip: 1,
  optimizer: { kind: 'adamw', weightDecay: 0.1 },
});
const data = await openImageText(captions, trainer.tokenizer, {
  batchSize: 4,
  imageSize: 64,
  colorJitter: { brightness: 0.2 },
});
for await (const { type } of trainer.run(data, {
  steps: Number(steps),
  learningRate: 1e-3,
  schedule: { kind: 'cosine', warmUpSteps: 5 },
  checkpointEvery: 3,
  folder,
})) {
  if (type === 'step') process.stdout.write('.');
}
await data.close();
await trainer.exportBundle(`${folder}/trained.pt`);
await trainer.dispose();
