/** Picture file to label map by each of the other systems: the engine beside eager PyTorch. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askPython, python, root, Worker } from './process.mjs';
import { median, printRow } from './table.mjs';
import { adeVocabulary } from './vocabulary.mjs';

const CLASSES = 150;
/** `eager`: what bench.eager_systems calls it. */
const SYSTEMS = {
  pacl: { label: 'PACL, ViT-B/16, stride 4', eager: 'patches', size: 448 },
  ovseg: { label: 'OVSeg, Swin-B, ViT-L/14, 100 regions', eager: 'regions', size: 640 },
  gkc: { label: 'GKC, RN101, 100 queries', eager: 'queries', size: 640 },
};
const DTYPES = ['bfloat16', 'float32'];
/** Whose time is told as a multiple of which other's. */
const [SLOW, FAST] = ['ovseg', 'gkc'];

/** @param {{repeats: number, threads: number, systems: string}} options `systems`: names, or none for all */
export async function systems(options) {
  const chosen = options.systems?.split(',') ?? Object.keys(SYSTEMS);
  const unknown = chosen.filter((name) => !(name in SYSTEMS));
  if (unknown.length > 0) throw new Error(`--systems takes some of ${Object.keys(SYSTEMS)}`);
  const cache = join(root, '.cache', 'bench');
  mkdirSync(cache, { recursive: true });
  const vocabulary = join(cache, `vocabulary-${CLASSES}.json`);
  writeFileSync(vocabulary, JSON.stringify(adeVocabulary(CLASSES).classes));
  const sizes = [...new Set(chosen.map((name) => SYSTEMS[name].size))];
  const prepared = askPython('bench.prepare_systems', ['--methods', chosen.join(','), ...sizes]);
  const report = {};
  printRow(['system, ms', '', 'bfloat16', 'float32', 'eager float32']);
  for (const name of chosen) {
    const { label, eager, size } = SYSTEMS[name];
    const engine = (dtype) =>
      new Worker(process.execPath, [
        join(root, 'test/bench/engine.mjs'),
        JSON.stringify({
          bundle: prepared.bundles[name],
          picture: prepared.pictures[size],
          cache: join(cache, `embeddings-${name}-${dtype}`),
          task: 'semantic',
          templates: 'bare',
          shortestEdge: size,
          threads: options.threads,
          dtype,
          vocabulary,
        }),
      ]);
    const args = ['-m', 'bench.eager_systems', eager, prepared.pictures[size], CLASSES];
    const workers = {
      ...Object.fromEntries(DTYPES.map((dtype) => [dtype, engine(dtype)])),
      eager: new Worker(python(), args, { PYTHONPATH: join(root, 'test') }),
    };
    report[name] = await measure(workers, options.repeats);
    print(label, report[name]);
  }
  if (!(report[SLOW] && report[FAST])) return report;
  report.ratio = report[SLOW].bfloat16.milliseconds / report[FAST].bfloat16.milliseconds;
  console.log(`${FAST} is ${report.ratio.toFixed(1)} times as fast as ${SLOW}, both in bfloat16`);
  return report;
}

/** One call of each in turn, so that what else the machine does falls on all alike. */
async function measure(workers, repeats) {
  const runs = {};
  for (const [name, worker] of Object.entries(workers)) {
    await worker.answer();
    runs[name] = [];
  }
  for (let round = 0; round < repeats; round++) {
    for (const [name, worker] of Object.entries(workers)) runs[name].push(await worker.ask('run'));
  }
  for (const worker of Object.values(workers)) await worker.end();
  const found = Object.fromEntries(
    Object.entries(runs).map(([name, all]) => [
      name,
      {
        firstMilliseconds: all[0].milliseconds,
        milliseconds: median(all.slice(1).map(({ milliseconds }) => milliseconds)),
        peakRss: Math.max(...all.map(({ peakRss }) => peakRss)),
      },
    ]),
  );
  const faster = (name) => found.eager.milliseconds / found[name].milliseconds;
  return { ...found, bfloat16Faster: faster('bfloat16'), float32Faster: faster('float32') };
}

function print(label, found) {
  const names = [...DTYPES, 'eager'];
  const cells = (work) => names.map((name) => work(found[name]));
  const whole = (value) => Math.round(value).toLocaleString('en');
  console.log(`\n${label}`);
  printRow(['a later call', '', ...cells(({ milliseconds }) => whole(milliseconds))]);
  printRow(['the first call', '', ...cells(({ firstMilliseconds }) => whole(firstMilliseconds))]);
  printRow(['peak memory, MB', '', ...cells(({ peakRss }) => whole(peakRss / 1e6))]);
  const { bfloat16Faster, float32Faster } = found;
  printRow(['times as fast', '', bfloat16Faster.toFixed(2), float32Faster.toFixed(2)]);
}
