#!/usr/bin/env node
/**
 * Repeats what a method's paper claims on the drawn world, over several seeds, and writes a report.
 * Every stage goes on where it was stopped.
 *
 *   npm run claims -- video
 *   npm run claims -- video --work /data/claims --icons @iconify-json/openmoji
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stoppable } from '../stoppable.mjs';
import * as gkc from './gkc.mjs';
import * as ovseg from './ovseg.mjs';
import * as pacl from './pacl.mjs';
import { claimPage, summaryTable } from './report.mjs';
import { Stages } from './stages.mjs';
import * as video from './video.mjs';

/** Each gives `claim`, `metrics` and `run(options)`, which returns a row of values for each variant. */
const CLAIMS = { gkc, ovseg, pacl, video };

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    work: { type: 'string', default: join(root, 'out/claims') },
    out: { type: 'string', default: join(root, 'docs/claims') },
    icons: { type: 'string', multiple: true },
  },
});
const unknown = positionals.filter((name) => !(name in CLAIMS));
if (positionals.length === 0 || unknown.length > 0) {
  throw new Error(`name some of ${Object.keys(CLAIMS).join(', ')}`);
}
// A whole path: the exporter runs in another folder.
const shared = resolve(values.work);
await stoppable(async (signal) => {
  for (const name of positionals) {
    const { claim, metrics, run } = CLAIMS[name];
    const work = join(shared, name);
    for (const folder of [work, values.out]) mkdirSync(folder, { recursive: true });
    const stages = new Stages();
    const found = await run({ work, shared, icons: values.icons, stages, signal });
    const report = {
      name,
      claim,
      command: `npm run claims -- ${name}`,
      minutes: Math.round(stages.seconds / 6) / 10,
      metrics,
      ...found,
    };
    writeFileSync(join(values.out, `${name}.json`), `${JSON.stringify(report, null, 1)}\n`);
    writeFileSync(join(values.out, `${name}.html`), claimPage(report));
    console.log(`\n${claim}\n\n${summaryTable(report)}\n`);
  }
});
