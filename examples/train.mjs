// Fine-tunes a bundle on masks: a whole run with checkpoints; the same call goes on where it stopped.
// Run: node train.mjs BUNDLE DATA [FOLDER]; the bundle holds its loss: `export … --trainable`.
import { openDataset, panopticData, Trainer } from 'lexiseg';

const [bundle, folder, run = 'out/run'] = process.argv.slice(2);

const dataset = await openDataset('coco-panoptic', folder, 'train');
const vocabulary = dataset.classes.filter(({ seen }) => seen !== false);
const trainer = await Trainer.open(bundle, {
  vocabulary: vocabulary.map(({ name, synonyms, thing }) => ({ name, synonyms, thing })),
  precision: 'bfloat16',
  gradientClip: 0.1,
  ema: 0.998,
});
const data = panopticData(dataset, {
  batchSize: 2,
  imageSize: { width: 128, height: 128 },
  classes: vocabulary.map(({ name }) => name),
});
const schedule = { kind: 'cosine', warmUpSteps: 2 };
for await (const event of trainer.run(data, {
  steps: 6,
  learningRate: 1e-4,
  schedule,
  folder: run,
})) {
  if (event.type === 'step') console.log(event.step, event.total.toFixed(3), event.losses);
}
await trainer.exportBundle(`${run}/trained.pt`, { dtype: 'bfloat16' });
await trainer.dispose();
