/**
 * Trains a bundle through the public package on batches written by the caller.
 *
 *   node train-bundle.mjs REQUEST.json
 *
 * REQUEST: { bundle, out, precision, threads, optimizer, gradientClip, ema, learningRate, seed,
 * vocabulary, groups, batches: [{ name: { file, dtype, shape } }], saveAt, restoreFrom, exportTo }.
 * Writes `out`: { steps: [{ losses, total, gradNorm }] }.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Tensor, Trainer } from '../../dist/index.js';

const request = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const ARRAYS = { uint8: Uint8Array, int64: BigInt64Array, float32: Float32Array };

function readInputs(batch) {
  const entries = Object.entries(batch).map(([name, { file, dtype, shape }]) => {
    const bytes = readFileSync(file);
    const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    return [name, Tensor.from(new ARRAYS[dtype](copy), shape, { dtype })];
  });
  return Object.fromEntries(entries);
}

const { optimizer, gradientClip, ema, seed, precision, threads, groups } = request;
const options = { device: 'cpu', optimizer, gradientClip, ema, seed, precision, threads, groups };
const trainer = await Trainer.open(request.bundle, {
  ...options,
  ...(request.vocabulary ? { vocabulary: request.vocabulary } : {}),
});
if (request.restoreFrom) await trainer.restore(request.restoreFrom);
const steps = [];
for (const [index, batch] of request.batches.entries()) {
  if (index < trainer.stepCount) continue;
  const inputs = readInputs(batch);
  const samples = inputs.images.shape[0];
  const name = `batch ${index}`;
  const { learningRate } = request;
  steps.push(await trainer.step({ inputs, name, samples }, { learningRate }));
  if (request.saveAt?.step === trainer.stepCount) await trainer.save(request.saveAt.path);
}
if (request.exportTo) await trainer.exportBundle(request.exportTo);
await trainer.dispose();
writeFileSync(request.out, JSON.stringify({ steps }));
