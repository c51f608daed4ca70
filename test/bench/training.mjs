/** Training steps per second: Node beside an eager PyTorch loop, on one batch and on read pictures. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawSet } from '../../tools/demo/draw-data.mjs';
import { exportBundle } from '../../tools/demo/exporter.mjs';
import { python, root, Worker } from './process.mjs';
import { median, printRow } from './table.mjs';

const BATCH = 64;
const SIZE = 96;
/** Steps of one measurement. */
const STEPS = { step: 12, load: 12 };
const CROPS = 2_000;

/** @param {{ repeats: number, threads: number }} options */
export async function training({ repeats, threads }) {
  const folder = join(root, '.cache', 'bench');
  mkdirSync(folder, { recursive: true });
  const bundle = join(folder, 'clip-demo.pt');
  if (!existsSync(bundle)) {
    await exportBundle(['clip', '--config', 'demo', '--random-init', '--seed', '1'], bundle);
  }
  const crops = join(folder, 'crops');
  await drawSet(crops, { kind: 'crops', count: CROPS, seed: 3, classes: 'all' });
  const request = join(folder, 'training.json');
  const setting = { batch: BATCH, size: SIZE, threads, crops, bundle };
  writeFileSync(request, JSON.stringify(setting));
  const node = [join(root, 'test/bench/training-worker.mjs'), request];
  const flags = ['--batch', BATCH, '--size', SIZE, '--threads', threads, '--crops', crops];
  const workers = {
    node: new Worker(process.execPath, node),
    python: new Worker(python(), ['-m', 'bench.training_worker', ...flags], {
      PYTHONPATH: `${join(root, 'models')}:${join(root, 'test')}`,
    }),
  };
  for (const worker of Object.values(workers)) await worker.answer();
  const runs = { step: { node: [], python: [] }, load: { node: [], python: [] } };
  for (let round = 0; round < repeats; round++) {
    for (const [kind, count] of Object.entries(STEPS)) {
      for (const [name, worker] of Object.entries(workers)) {
        runs[kind][name].push((await worker.ask(`${kind} ${count}`)).stepsPerSecond);
      }
    }
  }
  for (const worker of Object.values(workers)) await worker.end();
  printRow(['steps/s', 'Node', 'eager PyTorch', 'Node / PyTorch', 'worst … best round']);
  const report = { batch: BATCH, size: SIZE, threads, repeats };
  for (const [kind, { node: ours, python: theirs }] of Object.entries(runs)) {
    const ratios = ours.map((value, i) => value / theirs[i]);
    const spread = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(3));
    printRow([
      kind === 'step' ? 'one batch' : 'with data loading',
      median(ours).toFixed(2),
      median(theirs).toFixed(2),
      median(ratios).toFixed(3),
      spread.join(' … '),
    ]);
    report[kind] = { node: ours, python: theirs, ratio: median(ratios) };
  }
  return report;
}
