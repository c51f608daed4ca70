/** Finds the file of a bundle: by its path, or by the name of one that comes with the package. */
import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { packageFolder } from './binaries.js';
import { expected, LexisegError } from './errors.js';

const folder = join(packageFolder, 'models', 'bundles');
const ENDING = '.pt';

/**
 * Absolute path of an existing, readable, regular file: `nameOrPath`, or else the shipped bundle of
 * that name.
 *
 * @throws LexisegError `ERR_BUNDLE_READ`, which lists the shipped bundles where a name was given.
 */
export async function findBundleFile(nameOrPath: unknown): Promise<string> {
  if (typeof nameOrPath !== 'string' || nameOrPath === '') {
    throw expected('a path', 'bundle', nameOrPath);
  }
  const own = await reasonAgainst(nameOrPath);
  if (own === null) return resolve(nameOrPath);
  const isName = /^[\w-]+$/.test(nameOrPath);
  const shipped = isName ? await shippedBundles() : [];
  if (shipped.includes(nameOrPath)) return join(folder, nameOrPath + ENDING);
  const hint = isName ? `; shipped: ${shipped.join(', ')}` : '';
  throw new LexisegError('ERR_BUNDLE_READ', `Cannot open the bundle ${nameOrPath}: ${own}${hint}`, {
    details: { path: nameOrPath, ...(isName ? { shipped } : {}) },
  });
}

/** Why a path is no file that can be read; null when it is one. */
async function reasonAgainst(path: string): Promise<string | null> {
  try {
    if (!(await stat(path)).isFile()) return 'not a regular file';
    await access(path, constants.R_OK);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}

/** Names of the bundles that come with the package. */
async function shippedBundles(): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith(ENDING))
    .map((name) => name.slice(0, -ENDING.length))
    .sort();
}
