/**
 * The engine as a process of its own: loads a bundle and a vocabulary, then answers lines.
 *
 *   node engine.mjs '{"bundle", "dtype", "threads", "vocabulary", "picture", "cache"}'
 *
 * `run` segments the picture file, to a panoptic map unless the request names another "task";
 * `profile` gives milliseconds by stage. "shortestEdge" and "templates" are the engine's own options.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Segmenter } from '../../dist/index.js';
import { statusBytes } from './process.mjs';

const { bundle, dtype, threads, vocabulary, picture, cache, ...request } = JSON.parse(
  process.argv[2],
);
const { task = 'panoptic', shortestEdge, templates } = request;
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

async function timed(work) {
  const started = performance.now();
  const result = await work();
  return { result, milliseconds: performance.now() - started };
}

const load = await timed(() =>
  Segmenter.load(bundle, { device: 'cpu', dtype, threads, shortestEdge, cache: { dir: cache } }),
);
const segmenter = load.result;
const classes = JSON.parse(readFileSync(vocabulary, 'utf8'));
const text = await timed(() =>
  segmenter.createVocabulary(classes, { duplicates: 'keep', templates }),
);
say({
  ready: true,
  info: segmenter.info,
  loadMilliseconds: load.milliseconds,
  textMilliseconds: text.milliseconds,
  peakRss: statusBytes('VmHWM'),
});

async function run() {
  const { result, milliseconds } = await timed(() =>
    segmenter.segment(picture, text.result, { task }),
  );
  const map = result.segmentMap ?? result.labelMap;
  const labelled = map.reduce((sum, id) => sum + Number(id > 0), 0);
  const answer = {
    milliseconds,
    segments: result.segments.length,
    labelled: labelled / map.length,
    peakRss: statusBytes('VmHWM'),
  };
  result.dispose();
  return answer;
}

async function profile() {
  const times = await segmenter.profile(picture, text.result, { task });
  return { stages: Object.fromEntries(times.map((time) => [time.stage, time.milliseconds])) };
}

const actions = { run, profile };
for await (const line of createInterface({ input: process.stdin })) {
  say(await actions[line.trim()]());
}
await segmenter.dispose();
