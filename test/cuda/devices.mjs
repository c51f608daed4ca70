/**
 * One bundle on the CPU and on CUDA: how far results differ, and how long calls take.
 *
 *   node test/cuda/devices.mjs BUNDLE [IMAGE]
 *
 * Exits with 1 when float32 results differ by more than 1e-3 (masks, relative to the largest logit)
 * or label maps agree on less than 99.9 % of the pixels.
 */
import { resolve } from 'node:path';
import { Segmenter } from '../../dist/index.js';

const [bundle, picture = resolve('test/fixtures/images/street.jpg')] = process.argv
  .slice(2)
  .map((path) => resolve(path));
const words = ['sky', 'car|taxi', 'dog', 'tree', 'road', 'grass', 'person', 'house'];

/** Masks, a label map and the median time of a panoptic call on one device. */
async function measure(device, dtype) {
  const segmenter = await Segmenter.load(bundle, { device, dtype });
  const vocabulary = await segmenter.createVocabulary(words);
  const [proposals] = await segmenter.proposeMasks([picture]);
  const logits = Float32Array.from((await proposals.maskLogits.to({ device: 'cpu' })).data);
  const semantic = await segmenter.segment(picture, vocabulary, { task: 'semantic' });
  const labels = Int32Array.from(semantic.labelMap);
  const times = [];
  for (let i = 0; i < 7; i++) {
    const began = performance.now();
    (await segmenter.segment(picture, vocabulary, { task: 'panoptic' })).dispose();
    times.push(performance.now() - began);
  }
  const first = times[0];
  times.sort((a, b) => a - b);
  await segmenter.dispose();
  return { device, dtype, logits, labels, first, median: times[3] };
}

function relativeDifference(a, b) {
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < a.length; i++) {
    largest = Math.max(largest, Math.abs(a[i]));
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
  }
  return difference / largest;
}

function agreement(a, b) {
  let same = 0;
  for (let i = 0; i < a.length; i++) same += a[i] === b[i] ? 1 : 0;
  return same / a.length;
}

const reference = await measure('cpu', 'float32');
console.log('device  dtype     first ms  median ms  mask difference  labels equal');
let failed = false;
for (const [device, dtype] of [
  ['cpu', 'float32'],
  ['cuda', 'float32'],
  ['cuda', 'bfloat16'],
]) {
  const result = device === 'cpu' ? reference : await measure(device, dtype);
  const difference = relativeDifference(reference.logits, result.logits);
  const equal = agreement(reference.labels, result.labels);
  console.log(
    device.padEnd(7),
    dtype.padEnd(9),
    result.first.toFixed(1).padStart(8),
    result.median.toFixed(1).padStart(10),
    difference.toExponential(2).padStart(16),
    `${(100 * equal).toFixed(3)} %`.padStart(13),
  );
  if (dtype === 'float32' && !(difference <= 1e-3 && equal >= 0.999)) failed = true;
}
if (failed) {
  console.error('the devices disagree in float32');
  process.exitCode = 1;
}
