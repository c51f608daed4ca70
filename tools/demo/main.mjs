#!/usr/bin/env node
/**
 * Makes the demo bundle from nothing: draws its world, trains CLIP, trains the decoders, measures.
 * Every stage goes on where it was stopped.
 *
 *   npm run train:demo
 *   npm run train:demo -- --work /data/demo --icons @iconify-json/openmoji
 *   npm run train:demo -- --only freezing
 *   npm run train:demo -- --fraction 0.01       tries all of it in minutes, and ships nothing
 */
import { cpSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stoppable } from '../stoppable.mjs';
import { clipBundle, trainClip } from './clip.mjs';
import { drawData } from './draw-data.mjs';
import { packBundle } from './exporter.mjs';
import { frozenBundle, masksBundle, trainMasks, trainTuned } from './masks.mjs';
import { measure, score } from './measure.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({
  options: {
    work: { type: 'string', default: join(root, 'out/train-demo') },
    icons: { type: 'string' },
    only: { type: 'string' },
    fraction: { type: 'string', default: '1' },
  },
});
const stages = ['draw', 'clip', 'masks', 'measure', 'freezing', 'ship'];
if (values.only !== undefined && !stages.includes(values.only)) {
  throw new Error(`--only takes one of ${stages.join(', ')}`);
}
const fraction = Number(values.fraction);
if (!(fraction > 0 && fraction <= 1))
  throw new Error('--fraction takes a number over 0, at most 1');
// What shows the worth of freezing is no part of making the bundle.
const wanted = (stage) => (values.only ? values.only === stage : stage !== 'freezing');

// Whole paths: the exporter runs in another folder, and links are read from where they lie.
const own = fraction < 1 ? join(values.work, `fraction-${fraction}`) : values.work;
const work = resolve(own);
mkdirSync(work, { recursive: true });
const place = (name) => join(work, name);
const clip = clipBundle(work);
const masks = masksBundle(work);

await stoppable(async (signal) => {
  const run = { work, fraction, signal };
  if (wanted('draw')) await drawData(run, values.icons);
  if (wanted('clip')) await trainClip(run);
  if (wanted('masks')) await trainMasks(run, clip);
  if (wanted('measure')) await measure(run, { clip, masks }, place('report'));
  if (wanted('freezing')) {
    const bundles = { frozen: frozenBundle(work), tuned: await trainTuned(run) };
    for (const [name, bundle] of Object.entries(bundles)) {
      const { figures } = await score(bundle, place('scenes-check'), { signal });
      console.log(`[freezing] ${name}: ${JSON.stringify(figures)}`);
    }
  }
  signal.throwIfAborted();
  if (wanted('ship')) {
    if (fraction < 1) {
      console.log(`[ship] a trial ships nothing; the bundle is ${masks}`);
      return;
    }
    const shipped = join(root, 'models/bundles/demo-fc-clip');
    await packBundle(masks, `${shipped}.pt`);
    cpSync(place('report'), shipped, { recursive: true });
    console.log(`wrote ${shipped}.pt`);
  }
});
