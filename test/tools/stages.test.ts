/** Stages of the claims: each is made once, and the time of all of them is told, whenever they ran. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { root } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';

const { Stages } = await import(pathToFileURL(join(root, 'tools/claims/stages.mjs')).href);

let folder: string;
let output: string;
beforeEach(() => {
  folder = temporaryFolder();
  output = join(folder, 'out.pt');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const make = async (): Promise<void> => writeFileSync(output, 'made');
const never = (): never => expect.unreachable();

it('makes an output once, and counts what it took in every later run', async () => {
  const first = new Stages();
  await first.make(output, make);
  writeFileSync(`${output}.seconds`, '3600');
  const later = new Stages();
  await later.make(output, never);
  await later.make(output, never);
  expect(later.seconds).toBeGreaterThanOrEqual(3600);
  expect(later.seconds).toBeLessThan(7200);
});

it('adds up the runs that a stage was stopped in', async () => {
  writeFileSync(`${output}.seconds`, '3600');
  const stop = () => Promise.reject(new Error('stopped'));
  await expect(new Stages().make(output, stop)).rejects.toThrow('stopped');
  const before = Number(readFileSync(`${output}.seconds`, 'utf8'));
  expect(before).toBeGreaterThan(3600);
  const stages = new Stages();
  await stages.make(output, make);
  const after = Number(readFileSync(`${output}.seconds`, 'utf8'));
  expect(after).toBeGreaterThan(before);
  // The stage ran here, and is not counted a second time with the rest of this run.
  expect(stages.seconds).toBeGreaterThanOrEqual(after);
  expect(stages.seconds).toBeLessThan(after + 60);
});

it('does not pretend to know the time of what was made before times were kept', async () => {
  await make();
  const stages = new Stages();
  await stages.make(output, never);
  expect(stages.seconds).toBeNaN();
});
