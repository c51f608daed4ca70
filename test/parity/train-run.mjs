/**
 * Trains a bundle on pictures with captions, as a run in a folder.
 *
 *   node train-run.mjs BUNDLE DATA FOLDER STEPS [BATCH]
 *
 * With torchrun's variables it is one of several processes; DEVICE=cuda trains on GPUs. Prints its
 * process id, its device and what carries gradients, then a dot for each step.
 */
import { openImageText, Trainer } from '../../dist/index.js';

const [bundle, captions, folder, steps, batchSize = '4'] = process.argv.slice(2);
const trainer = await Trainer.open(bundle, {
  device: process.env.DEVICE ?? 'cpu',
  threads: 1,
  ema: 0.9,
  gradientClip: 1,
  optimizer: { kind: 'adamw', weightDecay: 0.1 },
  distributed: process.env.RANK !== undefined,
});
const data = await openImageText(captions, trainer.tokenizer, {
  batchSize: Number(batchSize),
  imageSize: 64,
  colorJitter: { brightness: 0.2 },
  pairedCaptions: process.env.PAIRED === '1',
});
const { rank, device, backend } = trainer.info;
if (process.env.RANK !== undefined) {
  console.log(`rank ${rank} is ${process.pid}, on ${device}, over ${backend}`);
}
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
if (rank === 0) await trainer.exportBundle(`${folder}/trained.pt`);
await trainer.dispose();
