/**
 * Measures; it asserts nothing.
 *
 *   npm run bench                                 speed at 640×640 and 1024×1024 (minutes, 12 GB of disk)
 *   npm run bench -- speed --sizes 640 --repeats 5
 *   npm run bench -- systems                      the other three systems (minutes, 4 GB of disk)
 *   npm run bench -- systems --systems pacl,gkc
 *   npm run bench -- classes | event-loop | training | leak | all
 *
 * Options: --network convnext_large_d --sizes 640,1024 --repeats 4 --threads 2 --dtype bfloat16
 * --calls 1000. Results also go to out/bench/WHAT.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './process.mjs';

const BENCHES = {
  speed: async (options) => (await import('./speed.mjs')).speed(options),
  systems: async (options) => (await import('./systems.mjs')).systems(options),
  classes: async (options) => (await import('./classes.mjs')).classes(options),
  'event-loop': async (options) => (await import('./event-loop.mjs')).eventLoop(options),
  training: async (options) => (await import('./training.mjs')).training(options),
  leak: async (options) => (await import('./leak.mjs')).leak(options),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    network: { type: 'string', default: 'convnext_large_d' },
    sizes: { type: 'string', default: '640,1024' },
    repeats: { type: 'string', default: '4' },
    threads: { type: 'string', default: '2' },
    dtype: { type: 'string', default: 'bfloat16' },
    calls: { type: 'string', default: '1000' },
    systems: { type: 'string' },
  },
});
const options = {
  network: values.network,
  sizes: values.sizes.split(',').map(Number),
  repeats: Math.max(2, Number(values.repeats)),
  threads: Number(values.threads),
  dtype: values.dtype,
  calls: Number(values.calls),
  systems: values.systems,
};
const wanted = positionals.length === 0 ? ['speed'] : positionals;
const names = wanted.includes('all') ? Object.keys(BENCHES) : wanted;
const folder = join(root, 'out', 'bench');
mkdirSync(folder, { recursive: true });
for (const name of names) {
  const bench = BENCHES[name];
  if (bench === undefined) {
    console.error(`no bench named ${name}; there are ${Object.keys(BENCHES).join(', ')} and all`);
    process.exitCode = 2;
    break;
  }
  const started = new Date().toISOString();
  const report = await bench(options);
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
  const path = join(folder, `${name}.json`);
  writeFileSync(path, `${JSON.stringify({ started, machine, ...report }, null, 2)}\n`);
  console.log(`written to ${path}`);
}
