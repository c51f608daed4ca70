/** How late a 10 ms timer is while a 1024×1024 picture is segmented. */
import { join } from 'node:path';
import { Segmenter } from '../../dist/index.js';
import { askPython, root } from './process.mjs';
import { percentile } from './table.mjs';
import { adeVocabulary } from './vocabulary.mjs';

const SIZE = 1024;
const PERIOD = 10;

/** @param {{network: string, threads: number, dtype: string, repeats: number}} options */
export async function eventLoop({ network, threads, dtype, repeats }) {
  const prepared = askPython('bench.prepare', [network, SIZE]);
  const { bundle, picture } = prepared.sizes[SIZE];
  const cache = { dir: join(root, '.cache', 'bench', `embeddings-${dtype}`) };
  const segmenter = await Segmenter.load(bundle, { device: 'cpu', dtype, threads, cache });
  const vocabulary = await segmenter.createVocabulary(adeVocabulary(150).classes, {
    duplicates: 'keep',
  });
  const report = { idle: await lateness(() => new Promise((done) => setTimeout(done, 3000))) };
  for (const task of ['panoptic', 'semantic', 'instance']) {
    report[task] = await lateness(async () => {
      for (let call = 0; call < repeats; call++) {
        const result = await segmenter.segment(picture, vocabulary, { task });
        result.dispose();
      }
    });
  }
  await segmenter.dispose();
  console.log(`\nlateness of a ${PERIOD} ms timer, ms`);
  for (const [name, { median, p99, most, ticks }] of Object.entries(report)) {
    const figures = `median ${median.toFixed(1)}  p99 ${p99.toFixed(1)}  most ${most.toFixed(1)}`;
    console.log(`${name.padEnd(10)} ${figures}  (${ticks} ticks)`);
  }
  return report;
}

async function lateness(work) {
  const late = [];
  let due = performance.now() + PERIOD;
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(Math.max(0, now - due));
    due = now + PERIOD;
  }, PERIOD);
  await work();
  clearInterval(timer);
  return {
    ticks: late.length,
    median: percentile(late, 0.5),
    p99: percentile(late, 0.99),
    most: Math.max(...late),
  };
}
