/** The search for LibTorch: which places, in which order, and what is said when none will do. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { LexisegError } from '../errors.js';
import { cacheEntries, libtorchCacheFolder } from './cache.js';
import { checkLibTorch, checkPlatform, type LibTorch, type Source } from './check.js';
import { configuredLibTorch } from './configure.js';
import { LIBTORCH_VERSION, minorOf } from './release.js';

/** A place that was looked at and why it was not used. */
export interface Attempt {
  readonly place: string;
  readonly reason: string;
}

/** The command that puts a LibTorch where it will be found. */
export const INSTALL_COMMAND = 'npx lexiseg libtorch install';

/**
 * Finds the LibTorch to load, without loading it.
 *
 * A place that was named explicitly (`configure`, `LEXISEG_LIBTORCH`, `LIBTORCH`) and is wrong is an
 * error; only the places nobody named are passed over.
 *
 * @param builtFor - Version of torch that the addon was compiled with.
 * @throws LexisegError with a code for the first check that failed, or `ERR_LIBTORCH_NOT_FOUND`
 * whose `details.tried` lists every place.
 */
export function findLibTorch(builtFor: string = LIBTORCH_VERSION): LibTorch {
  checkPlatform();
  const attempts: Attempt[] = [];
  for (const [source, path] of explicitPlaces()) {
    if (path) return checkLibTorch(resolve(path), builtFor, source);
    attempts.push({ place: source, reason: 'not set' });
  }
  return findInCache(builtFor, attempts) ?? findInPython(builtFor, attempts) ?? fail();

  function fail(): never {
    const lines = attempts.map(({ place, reason }) => `  ${place}: ${reason}`);
    throw new LexisegError(
      'ERR_LIBTORCH_NOT_FOUND',
      `LibTorch ${minorOf(builtFor)}.x was not found. Places tried:\n${lines.join('\n')}\n` +
        `To install it, run:\n  ${INSTALL_COMMAND}`,
      { details: { needed: builtFor, tried: attempts, command: INSTALL_COMMAND } },
    );
  }
}

function explicitPlaces(): [Source, string | undefined][] {
  return [
    ['configure', configuredLibTorch()],
    ['LEXISEG_LIBTORCH', process.env.LEXISEG_LIBTORCH],
    ['LIBTORCH', process.env.LIBTORCH],
  ];
}

function findInCache(builtFor: string, attempts: Attempt[]): LibTorch | null {
  const entries = cacheEntries();
  if (entries.length === 0) {
    attempts.push({ place: `cache ${libtorchCacheFolder()}`, reason: 'nothing installed' });
  }
  for (const { root } of entries) {
    const found = tryPlace(`cache ${root}`, () => checkLibTorch(root, builtFor, 'cache'), attempts);
    if (found) return found;
  }
  return null;
}

function findInPython(builtFor: string, attempts: Attempt[]): LibTorch | null {
  const asked = process.env.LEXISEG_PYTHON;
  if (!asked || asked === '0') {
    attempts.push({ place: 'Python torch', reason: 'not asked for (set LEXISEG_PYTHON=1)' });
    return null;
  }
  const python = asked === '1' ? 'python3' : asked;
  return tryPlace(
    `Python torch of ${python}`,
    () => checkLibTorch(torchFolderOf(python), builtFor, 'python'),
    attempts,
  );
}

/** Folder of the `torch` package of an interpreter, without importing it. */
function torchFolderOf(python: string): string {
  const program =
    'import importlib.util as u; s = u.find_spec("torch"); ' +
    'print(s.submodule_search_locations[0] if s else "")';
  const child = spawnSync(python, ['-c', program], { encoding: 'utf8', timeout: 30_000 });
  if (child.error || child.status !== 0) {
    throw new LexisegError(
      'ERR_LIBTORCH_PATH',
      `${python} did not run: ${child.error?.message ?? child.stderr.trim()}`,
      { cause: child.error },
    );
  }
  const folder = child.stdout.trim();
  if (!folder) throw new LexisegError('ERR_LIBTORCH_PATH', `${python} has no torch package`);
  return folder;
}

function tryPlace(place: string, check: () => LibTorch, attempts: Attempt[]): LibTorch | null {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof LexisegError)) throw error;
    attempts.push({ place, reason: `${error.code}: ${error.message}` });
    return null;
  }
}
