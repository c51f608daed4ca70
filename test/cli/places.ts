/** Folders that look like a LibTorch, and an environment in which only they can be found. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const LIBRARY_NAMES = ['libgomp.so.1', 'libc10.so', 'libtorch_cpu.so', 'libtorch.so'];

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'lexiseg-test-'));
}

export interface LibTorchLook {
  readonly version?: string;
  /** `archive` has build-version, `wheel` has version.py. */
  readonly kind?: 'archive' | 'wheel';
  readonly cuda?: string;
  readonly without?: string;
}

/** Files of a folder that passes every check before loading (and cannot be loaded). */
export function libtorchFiles(look: LibTorchLook = {}): Record<string, string> {
  const { version = '2.13.0+cpu', kind = 'archive', cuda, without } = look;
  const files: Record<string, string> = {};
  for (const name of LIBRARY_NAMES) if (name !== without) files[`lib/${name}`] = 'not a library';
  if (kind === 'archive') files['build-version'] = `${version}\n`;
  else {
    files['version.py'] =
      `from typing import Optional\n__version__ = '${version}'\n` +
      `cuda: Optional[str] = ${cuda ? `'${cuda}'` : 'None'}\nhip: Optional[str] = None\n`;
  }
  return files;
}

export function writeFiles(root: string, files: Record<string, string>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}
