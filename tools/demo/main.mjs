#!/usr/bin/env node
/**
 * Makes the demo bundle from nothing: draws its world, trains CLIP, trains the decoders, measures.
 * Every stage goes on where it was stopped.
 *
 *   npm run train:demo
 *   npm run train:demo -- --work /data/demo --icons @iconify-json/openmoji
 *   npm run train:demo -- --only freezing
 */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stoppable } from '../stoppable.mjs';
import { clipBundle, trainClip } from './clip.mjs';
import { drawData } from './draw-data.mjs';
import { masksBundle, trainMasks, trainTuned } from './masks.mjs';
import { measure, score } from './measure.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({
  options: {
    work: { type: 'string', default: join(root, 'out/train-demo') },
    icons: { type: 'string' },
    only: { type: 'string' },
  },
});
const stages = ['draw', 'clip', 'masks', 'measure', 'freezing', 'ship'];
if (values.only !== undefined && !stages.includes(values.only)) {
  throw new Error(`--only takes one of ${stages.join(', ')}`);
}
// What shows the worth of freezing is no part of making the bundle.
const wanted = (stage) => (values.only ? values.only === stage : stage !== 'freezing');

const { work } = values;
mkdirSync(work, { recursive: true });
const place = (name) => join(work, name);
const clip = clipBundle(work);
const masks = masksBundle(work);

await stoppable(async (signal) => {
  if (wanted('draw')) await drawData(work, signal, values.icons);
  if (wanted('clip')) await trainClip(work, work, signal);
  if (wanted('masks')) await trainMasks(work, clip, signal);
  if (wanted('measure')) await measure(work, clip, masks, place('report'));
  if (wanted('freezing')) {
    const bundles = { frozen: masks, tuned: await trainTuned(work, signal) };
    for (const [name, bundle] of Object.entries(bundles)) {
      const { figures } = await score(bundle, place('scenes-check'));
      console.log(`[freezing] ${name}: ${JSON.stringify(figures)}`);
    }
  }
  if (wanted('ship')) {
    const bundle = join(root, 'models/bundles/demo-fc-clip.pt');
    copyFileSync(masks, bundle);
    console.log(`wrote ${bundle}`);
  }
});
