/** Child processes that answer one JSON line per line they are sent, and what a process uses. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** The interpreter of the tests: `LEXISEG_PYTHON`, else the checkout's own. */
export function python() {
  const own = join(root, '.venv', 'bin', 'python');
  const found = process.env.LEXISEG_PYTHON ?? (existsSync(own) ? own : undefined);
  if (found === undefined) {
    throw new Error('No Python with torch: run `npm test -- pytest` once, or set LEXISEG_PYTHON');
  }
  return found;
}

/** Runs a module of test/ to its end and parses the last line it prints. */
export function askPython(module, args) {
  const done = spawnSync(python(), ['-m', module, ...args.map(String)], {
    env: { ...process.env, PYTHONPATH: join(root, 'test') },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
  });
  if (done.status !== 0) throw new Error(`python -m ${module} failed (${done.status})`);
  return JSON.parse(done.stdout.trim().split('\n').at(-1));
}

/** A process that is asked by lines and answers each with one line of JSON. */
export class Worker {
  #child;
  #lines;

  constructor(command, args, env = {}) {
    this.#child = spawn(command, args.map(String), {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The next line it prints. */
  async answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnargs.join(' ')} ended without an answer`);
    return JSON.parse(value);
  }

  ask(line) {
    this.#child.stdin.write(`${line}\n`);
    return this.answer();
  }

  async end() {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    await ended;
  }
}

/** A field of /proc/self/status in bytes, e.g. VmHWM (peak) or VmRSS (now). */
export function statusBytes(field) {
  const line = readFileSync('/proc/self/status', 'utf8').match(new RegExp(`${field}:\\s+(\\d+)`));
  return Number(line?.[1] ?? Number.NaN) * 1024;
}
