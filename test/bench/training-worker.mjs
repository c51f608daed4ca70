/**
 * Training steps of a bundle, timed; the same lines and answers as training_worker.py.
 *
 *   node training-worker.mjs REQUEST.json
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openImageText, Tensor, Trainer } from '../../dist/index.js';

const request = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { batch, size, threads, crops, bundle } = request;
const trainer = await Trainer.open(bundle, {
  precision: 'bfloat16',
  threads,
  optimizer: { kind: 'adamw', weightDecay: 0.1 },
  gradientClip: 1,
});
const data = await openImageText(crops, trainer.tokenizer, {
  batchSize: batch,
  imageSize: size,
  crop: { area: [0.6, 1] },
  colorJitter: { brightness: 0.2, contrast: 0.2, saturation: 0.2 },
});
const images = Uint8Array.from(
  { length: batch * size * size * 3 },
  (_, i) => (i * 2654435761) >>> 24,
);
const tokenIds = BigInt64Array.from({ length: batch * 8 }, (_, i) =>
  i % 8 === 7 ? 49_407n : BigInt(1 + ((i * 7919) % 40_000)),
);
const learningRate = 1e-3;
const fixed = () => ({
  inputs: {
    images: Tensor.from(images, [batch, size, size, 3]),
    token_ids: Tensor.from(tokenIds, [batch, 8]),
  },
  name: 'fixed',
  samples: batch,
});
const run = { start: 0, seed: 1, rank: 0, worldSize: 1 };
const stream = data.batches(run)[Symbol.asyncIterator]();
await trainer.step(fixed(), { learningRate });
console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) {
  const [kind, count] = line.split(' ');
  const started = performance.now();
  for (let i = 0; i < Number(count); i++) {
    const next = kind === 'step' ? fixed() : (await stream.next()).value;
    await trainer.step(next, { learningRate });
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(JSON.stringify({ stepsPerSecond: Number(count) / seconds }));
}
await stream.return();
await data.close();
await trainer.dispose();
