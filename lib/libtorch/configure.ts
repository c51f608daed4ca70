/** What the program itself says about LibTorch, before the first native call of this thread. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { expected, LexisegError } from '../errors.js';

export interface Configuration {
  /** Folder of a LibTorch (with `lib/`) or of a Python `torch` package. */
  libtorch?: string;
}

let libtorch: string | undefined;
let loadedFrom: string | undefined;

/**
 * Names the LibTorch to load. Must be called before the first native call of the thread.
 *
 * @throws TypeError for an unknown key or a value that is no path.
 * @throws LexisegError `ERR_LIBTORCH_PATH` when another LibTorch is already loaded.
 */
export function configure(configuration: Configuration): void {
  if (configuration === null || typeof configuration !== 'object') {
    throw expected('an object such as { libtorch: path }', 'configuration', configuration);
  }
  for (const key of Object.keys(configuration)) {
    if (key !== 'libtorch') throw expected("only the key 'libtorch'", 'configuration', key);
  }
  const wanted = configuration.libtorch;
  if (wanted === undefined) {
    libtorch = undefined;
    return;
  }
  if (typeof wanted !== 'string' || wanted === '') {
    throw expected('a path', 'configuration.libtorch', wanted);
  }
  const path = resolve(wanted);
  if (loadedFrom !== undefined && loadedFrom !== path) {
    throw new LexisegError(
      'ERR_LIBTORCH_PATH',
      `LibTorch is already loaded from ${loadedFrom}: call configure() before the first use.`,
      { details: { path, loadedFrom, exists: existsSync(path) } },
    );
  }
  libtorch = path;
}

/** The path given to {@link configure}, if any. */
export function configuredLibTorch(): string | undefined {
  return libtorch;
}

/** Told by the loader once the libraries of this thread are open. */
export function recordLoaded(root: string): void {
  loadedFrom = root;
}
