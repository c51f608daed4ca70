/** Growth of the resident set over many calls on the tiny shipped bundle. */
import { join } from 'node:path';
import { Segmenter } from '../../dist/index.js';
import { growthOver } from './memory.mjs';
import { root } from './process.mjs';

const CLASSES = [
  'cat|kitten',
  'sofa',
  { name: 'floor', thing: false },
  { name: 'sky', thing: false },
];
const SIDE = 128;

/** @param {{calls: number, threads: number}} options */
export async function leak({ calls, threads }) {
  const bundle = join(root, 'models', 'bundles', 'tiny-fc-clip.pt');
  const segmenter = await Segmenter.load(bundle, { device: 'cpu', threads, cache: false });
  const vocabulary = await segmenter.createVocabulary(CLASSES);
  const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 7 + (i >> 7)) % 256);
  const image = { data, width: SIDE, height: SIDE, channels: 3 };
  const tasks = ['panoptic', 'semantic', 'instance'];
  let call = 0;
  const work = async () => {
    const task = tasks[call++ % tasks.length];
    const result = await segmenter.segment(image, vocabulary, { task });
    result.dispose();
  };
  const report = await growthOver(work, { warmUp: 100, calls });
  report.stats = segmenter.memoryStats();
  await segmenter.dispose();
  const sizes = report.samples.map((bytes) => (bytes / 1e6).toFixed(0)).join(' ');
  console.log(`\nresident set over ${calls} calls, MB: ${sizes}`);
  console.log(`growth ${(100 * report.growth).toFixed(2)} %, live handles ${report.stats.handles}`);
  return report;
}
