/** Runs the Python exporter of this repository. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The interpreter that has the exporter's packages. */
export const PYTHON = process.env.LEXISEG_PYTHON ?? join(root, '.venv', 'bin', 'python');

/** Writes a bundle with its training loss. */
export const exportBundle = (args, out) =>
  lexisegModels(['export', ...args, '--trainable', '--out', out]);

/** Writes the same bundle in a smaller file. */
export const packBundle = (bundle, out) => lexisegModels(['pack', bundle, '--out', out]);

function lexisegModels(args) {
  const all = ['-m', 'lexiseg_models', ...args];
  const env = { ...process.env, PYTHONPATH: join(root, 'models') };
  return new Promise((resolve, reject) => {
    const child = spawn(PYTHON, all, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0) resolve();
      else reject(new Error(`the exporter ended with status ${status}`));
    });
  });
}
