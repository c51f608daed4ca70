/** Runs commands in the checkout and remembers, by content hash, which steps need no repeat. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const stampFolder = join(root, '.cache', 'setup');

/** One line about what happens, so that a long step is no riddle. */
export function say(text) {
  console.log(`[lexiseg] ${text}`);
}

/**
 * Runs a command to its end with its output shown, or written to `log`.
 *
 * @param {{env?: object, quiet?: boolean, log?: string}} [options] quiet: shows errors alone
 * @returns {Promise<number>} its exit status; 1 when a signal ended it or it did not start
 */
export function run(command, args, { env, quiet = false, log } = {}) {
  return new Promise((settle) => {
    const file = log === undefined ? 'inherit' : openSync(log, 'w');
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', quiet ? 'ignore' : file, file],
    });
    if (log !== undefined) closeSync(file);
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      settle(1);
    });
    child.on('close', (status) => settle(status ?? 1));
  });
}

/** As {@link run}, but a failure ends the program with the command's name. */
export async function must(command, args, options) {
  const status = await run(command, args, options);
  if (status !== 0) {
    throw new StepError(`${[command, ...args].join(' ')} failed with status ${status}`);
  }
}

/** A failure that is explained by its message alone. */
export class StepError extends Error {}

/** Whether a program answers at all. */
export function answers(command, args = ['--version']) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** SHA-256 over names and bytes of files, and of files below folders. */
export function hashOf(paths, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const path of paths.flatMap((name) => listFiles(join(root, name))).sort()) {
    hash.update(relative(root, path)).update('\0').update(readFileSync(path));
  }
  return hash.digest('hex');
}

function listFiles(path) {
  const kind = statSync(path, { throwIfNoEntry: false });
  if (!kind) return [];
  if (kind.isFile()) return [path];
  return readdirSync(path)
    .filter((name) => name !== '__pycache__')
    .flatMap((name) => listFiles(join(path, name)));
}

/**
 * Does a step unless the same inputs gave the same outputs before.
 *
 * @param {{name: string, inputs: string, outputs: string[], action: () => Promise<void>}} step
 * @returns {Promise<boolean>} whether the action ran
 */
export async function once({ name, inputs, outputs, action }) {
  const stamp = join(stampFolder, name);
  const fresh = existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs;
  if (fresh && outputs.every((path) => existsSync(join(root, path)))) return false;
  // One that is stopped half-way must not pass for what was there before.
  rmSync(stamp, { force: true });
  await action();
  mkdirSync(stampFolder, { recursive: true });
  writeFileSync(stamp, inputs);
  return true;
}

/** Has steps done again: something else wrote where their outputs are. */
export function forget(...names) {
  for (const name of names) rmSync(join(stampFolder, name), { force: true });
}

/** Runs a script's main function and turns its failure into one line and an exit status. */
export async function main(action) {
  try {
    await action();
  } catch (error) {
    console.error(error instanceof StepError ? `[lexiseg] ${error.message}` : error);
    process.exitCode = 1;
  }
}
