/** Runs the compiled command line (dist/cli/main.js) as a user would. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const main = join(root, 'dist', 'cli', 'main.js');
export const street = join(root, 'test', 'fixtures', 'images', 'street.jpg');
export const bundle = join(root, 'models', 'bundles', 'tiny-fc-clip.pt');

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called with what stderr holds so far. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

export function lexiseg(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return runNode([main, ...args], options);
}

export function runNode(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, NODE_OPTIONS: '', ...options.env } as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      options.onStderr?.(stderr, (signal) => child.kill(signal));
    });
    child.on('error', reject);
    child.on('close', (status) => settle({ status, stdout, stderr }));
  });
}
