/** Whole image to panoptic map: the engine in bfloat16 and float32 beside the eager oracle. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { askPython, python, root, Worker } from './process.mjs';
import { median, printRow } from './table.mjs';
import { adeVocabulary, synonymCount } from './vocabulary.mjs';

const STAGES = [
  'decode',
  'preprocess',
  'backbone',
  'pixel_decoder',
  'transformer_decoder',
  'classification',
  'post_processing',
];
const DTYPES = ['bfloat16', 'float32'];

/** @param {{network: string, sizes: number[], repeats: number, threads: number}} options */
export async function speed(options) {
  const { source, classes } = adeVocabulary(150);
  const vocabulary = join(root, '.cache', 'bench', 'vocabulary-150.json');
  writeIfChanged(vocabulary, JSON.stringify(classes));
  const args = [options.network, ...options.sizes, '--vocabulary', vocabulary];
  const prepared = askPython('bench.prepare', args);
  const report = { ...options, classes: classes.length, vocabulary: source, sizes: {} };
  for (const size of options.sizes) {
    const setting = { ...options, ...prepared.sizes[size], prepared, size, vocabulary };
    const measured = await measure(setting);
    const counts = [options.network, size, classes.length, synonymCount(classes)];
    const gflop = askPython('bench.arithmetic', counts);
    report.sizes[size] = { ...measured, gflop, ratios: ratiosOf(measured) };
    printReport(size, report.sizes[size]);
  }
  return report;
}

/** Fills the embedding cache, then asks the three processes in turn. */
async function measure(setting) {
  for (const dtype of DTYPES) {
    const filling = engine(setting, dtype);
    await filling.answer();
    await filling.end();
  }
  const workers = {
    bfloat16: engine(setting, 'bfloat16'),
    float32: engine(setting, 'float32'),
    eager: oracle(setting),
  };
  const ready = {};
  for (const [name, worker] of Object.entries(workers)) ready[name] = await worker.answer();
  const before = await matmulPeak(workers.eager);
  const runs = { bfloat16: [], float32: [], eager: [] };
  for (let round = 0; round < setting.repeats; round++) {
    for (const [name, worker] of Object.entries(workers)) runs[name].push(await worker.ask('run'));
  }
  const after = await matmulPeak(workers.eager);
  const peak = mapNames(DTYPES, (dtype) => Math.max(before[dtype], after[dtype]));
  const results = {};
  for (const [name, worker] of Object.entries(workers)) {
    results[name] = summary(runs[name]);
    results[name].stages = name === 'eager' ? stagesOf(runs.eager) : await profiles(worker);
    await worker.end();
  }
  return { matmulGflops: peak, ready, ...results };
}

async function matmulPeak(worker) {
  const peak = {};
  for (const dtype of DTYPES) peak[dtype] = (await worker.ask(`matmul ${dtype}`)).gflops;
  return peak;
}

const mapNames = (names, work) => Object.fromEntries(names.map((name) => [name, work(name)]));

function engine({ bundle, picture, vocabulary, threads }, dtype) {
  const cache = join(root, '.cache', 'bench', `embeddings-${dtype}`);
  const request = { bundle, dtype, threads, vocabulary, picture, cache };
  return new Worker(process.execPath, [
    join(root, 'test/bench/engine.mjs'),
    JSON.stringify(request),
  ]);
}

function oracle({ network, prepared, size, picture, vocabulary }) {
  const args = [network, prepared.folder, size, picture, vocabulary, prepared.rows];
  return new Worker(python(), ['-m', 'bench.oracle_worker', ...args], {
    PYTHONPATH: join(root, 'test'),
  });
}

/** The first call apart, the median and the peak memory of all later ones. */
function summary(runs) {
  const later = runs.slice(1);
  return {
    firstMilliseconds: runs[0].milliseconds,
    milliseconds: median(later.map((run) => run.milliseconds)),
    all: runs.map((run) => run.milliseconds),
    peakRss: Math.max(...runs.map((run) => run.peakRss)),
    segments: runs[0].segments,
    labelled: runs[0].labelled,
  };
}

async function profiles(worker) {
  const rounds = [];
  for (let round = 0; round < 3; round++) rounds.push(await worker.ask('profile'));
  return stagesOf([null, ...rounds]);
}

function stagesOf(runs) {
  const later = runs.slice(1);
  return mapNames(STAGES, (stage) => median(later.map((run) => run.stages[stage])));
}

function ratiosOf({ bfloat16, float32, eager }) {
  return {
    bfloat16Faster: eager.milliseconds / bfloat16.milliseconds,
    float32Faster: eager.milliseconds / float32.milliseconds,
    bfloat16NetworkFaster: networkTime(eager) / networkTime(bfloat16),
    float32NetworkFaster: networkTime(eager) / networkTime(float32),
    bfloat16Memory: bfloat16.peakRss / eager.peakRss,
    float32Memory: float32.peakRss / eager.peakRss,
    bfloat16FirstCall: bfloat16.firstMilliseconds / bfloat16.milliseconds,
    float32FirstCall: float32.firstMilliseconds / float32.milliseconds,
  };
}

/** Backbone and both decoders, without what surrounds them. */
const networkTime = ({ stages }) =>
  stages.backbone + stages.pixel_decoder + stages.transformer_decoder;

function printReport(size, report) {
  const { gflop, matmulGflops: peak } = report;
  const columns = [
    ['bfloat16', peak.bfloat16],
    ['float32', peak.float32],
    ['eager', peak.float32],
  ];
  console.log(`\n${size}×${size}: matmul peak ${format(peak.bfloat16)} GFLOP/s in bfloat16,`);
  console.log(`${format(peak.float32)} in float32; each cell: ms, GFLOP/s, share of the peak`);
  printRow(['stage', 'GFLOP', 'bfloat16', 'float32', 'eager float32']);
  for (const stage of STAGES) {
    const cells = columns.map(([name, best]) =>
      cell(report[name].stages[stage], gflop[stage], best),
    );
    printRow([stage, gflop[stage]?.toFixed(1) ?? '', ...cells]);
  }
  const total = Object.values(gflop).reduce((sum, value) => sum + value, 0);
  const whole = columns.map(([name, best]) => cell(report[name].milliseconds, total, best));
  printRow(['whole call', total.toFixed(0), ...whole]);
  const each = (work) => columns.map(([name]) => work(report[name]));
  printRow(['first call', '', ...each((r) => `${format(r.firstMilliseconds)} ms`)]);
  printRow(['peak memory', '', ...each((r) => `${format(r.peakRss / 1e6)} MB`)]);
  const ratios = Object.entries(report.ratios).map(
    ([name, value]) => `${name} ${value.toFixed(2)}`,
  );
  console.log(ratios.join('  '));
}

function cell(milliseconds, gflop, peak) {
  if (gflop === undefined || gflop < 1) return `${milliseconds.toFixed(1)} ms`;
  const rate = gflop / (milliseconds / 1000);
  return `${format(milliseconds)} ms ${format(rate)} ${((100 * rate) / peak).toFixed(0)} %`;
}

const format = (value) => Math.round(value).toLocaleString('en');

function writeIfChanged(path, text) {
  let previous;
  try {
    previous = readFileSync(path, 'utf8');
  } catch {
    mkdirSync(dirname(path), { recursive: true });
  }
  if (previous !== text) writeFileSync(path, text);
}
