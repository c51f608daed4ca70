/** Fills the cache with a LibTorch: fetch, check, unpack to one side, rename into place. */

import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LexisegError } from '../errors.js';
import { withLock } from '../lock.js';
import {
  type CacheEntry,
  type CacheRecord,
  cacheEntries,
  entryName,
  libtorchCacheFolder,
  RECORD_NAME,
} from './cache.js';
import { checkLibTorch, checkPlatform, type LibTorch } from './check.js';
import { download, sha256Of } from './download.js';
import { pipDownload } from './pip.js';
import { type Flavour, LIBTORCH_VERSION } from './release.js';
import { unpack } from './unpack.js';

export interface InstallOptions {
  readonly flavour: Flavour;
  /** Archive, wheel, folder or URL; without it, pip fetches the wheel of torch. */
  readonly from?: string | undefined;
  /** Expected SHA-256 of the archive. */
  readonly sha256?: string | undefined;
  readonly indexUrl?: string | undefined;
  readonly findLinks?: string | undefined;
  /** Replaces an entry that is already complete. */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A step in words, or bytes of the step under way. */
  readonly onProgress?: ((event: InstallProgress) => void) | undefined;
}

export type InstallProgress =
  | { readonly kind: 'step'; readonly text: string }
  | { readonly kind: 'bytes'; readonly done: number; readonly total: number | null };

/** Folders and files of a LibTorch that running or compiling against it needs. */
const WANTED = /^((lib)?torch\/)?((lib|include|share)\/|build-version$|build-hash$|version\.py$)/;
const WANTED_BESIDE = /^(torch\.libs\/|nvidia\/.*\/lib\/)/;
/** Libraries for Python itself and for PyTorch's own tests. */
const UNWANTED = /libtorch_python\.so|libshm|_test\.so|backend_with_compiler|aoti_custom_ops/;

/**
 * Installs LibTorch into the cache; an entry that is complete is returned as it is.
 *
 * @throws LexisegError `ERR_LIBTORCH_INSTALL`, `ERR_CACHE`, or a code of the checks that every
 * LibTorch passes before it is loaded. Nothing is left in the cache then.
 */
export async function installLibTorch(
  options: InstallOptions,
): Promise<{ entry: CacheEntry; installed: boolean }> {
  checkPlatform();
  const name = entryName(LIBTORCH_VERSION, options.flavour);
  const cache = libtorchCacheFolder();
  const step = (text: string): void => options.onProgress?.({ kind: 'step', text });
  return withLock(
    join(cache, `.${name}.lock`),
    async () => {
      const present = findEntry(name);
      if (present && !options.force) {
        refuseOther(present, options);
        return { entry: present, installed: false };
      }
      const work = await mkdtemp(join(cache, '.new-')).catch((cause: Error) => {
        throw new LexisegError('ERR_CACHE', `${cache} takes no files: ${cause.message}`, { cause });
      });
      try {
        const record = await build(options, work, step);
        const folder = join(cache, name);
        await rm(folder, { recursive: true, force: true });
        await rename(join(work, 'entry'), folder);
        return { entry: { folder, root: join(folder, record.root), record }, installed: true };
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    },
    { signal: options.signal, onWait: (pid) => step(`waiting for process ${pid}`) },
  );
}

/** What is there must be what was asked for: whoever gives a checksum relies on it. */
function refuseOther({ folder, record }: CacheEntry, { sha256 }: InstallOptions): void {
  if (sha256 === undefined || sha256.toLowerCase() === record.sha256?.toLowerCase()) return;
  throw new LexisegError(
    'ERR_LIBTORCH_INSTALL',
    `${folder} is there already, of ${record.sha256 ?? 'an archive whose checksum is not known'}, ` +
      `not ${sha256}. --force replaces it.`,
    { details: { folder, found: record.sha256, wanted: sha256 } },
  );
}

function findEntry(name: string): CacheEntry | null {
  const entry = cacheEntries().find(({ folder }) => basename(folder) === name);
  if (!entry) return null;
  try {
    checkLibTorch(entry.root, LIBTORCH_VERSION, 'cache');
    return entry;
  } catch {
    return null;
  }
}

async function build(
  options: InstallOptions,
  work: string,
  step: (text: string) => void,
): Promise<CacheRecord> {
  const entry = join(work, 'entry');
  await mkdir(entry);
  const source = await gather(options, work, entry, step);
  step('checking the libraries');
  const libtorch = checkFlavour(findRoot(entry), options.flavour);
  const record: CacheRecord = {
    version: libtorch.version,
    flavour: options.flavour,
    platform: process.platform,
    arch: process.arch,
    root: relative(entry, libtorch.root),
    ...source,
    installedAt: new Date().toISOString(),
  };
  await writeFile(join(entry, RECORD_NAME), `${JSON.stringify(record, null, 2)}\n`);
  return record;
}

/** Puts the files of the source below `entry` and says where they came from. */
async function gather(
  options: InstallOptions,
  work: string,
  entry: string,
  step: (text: string) => void,
): Promise<{ source: string; sha256: string | null }> {
  const { from } = options;
  if (from === undefined) {
    const wheels = await pipDownload({ ...options, folder: work, onLine: step });
    const torch = wheels.find((wheel) => basename(wheel).startsWith('torch-'));
    const sha256 = torch ? await verify(torch, options, step) : null;
    for (const wheel of wheels) await unpackWanted(wheel, entry, options, step);
    return { source: torch ? basename(torch) : 'pip', sha256 };
  }
  if (/^https?:/i.test(from)) {
    const archive = join(work, 'archive.zip');
    const url = new URL(from);
    step(`fetching ${url.origin}${url.pathname}`);
    await download({
      url,
      file: archive,
      signal: options.signal,
      onBytes: (done, total) => options.onProgress?.({ kind: 'bytes', done, total }),
    });
    const sha256 = await verify(archive, options, step);
    await unpackWanted(archive, entry, options, step);
    return { source: `${url.origin}${url.pathname}`, sha256 };
  }
  const path = resolve(/^file:/i.test(from) ? fileURLToPath(from) : from);
  const kind = await stat(path).catch(() => null);
  if (kind === null) {
    throw new LexisegError('ERR_LIBTORCH_INSTALL', `${path} does not exist.`, {
      details: { path },
    });
  }
  if (kind.isDirectory()) {
    await copyFolder(path, entry, options, step).catch((cause: Error) => {
      if (cause instanceof LexisegError || options.signal?.aborted) throw cause;
      const text = `${path} could not be copied: ${cause.message}`;
      throw new LexisegError('ERR_LIBTORCH_INSTALL', text, { cause });
    });
    return { source: path, sha256: null };
  }
  const sha256 = await verify(path, options, step);
  await unpackWanted(path, entry, options, step);
  return { source: path, sha256 };
}

async function verify(
  archive: string,
  options: InstallOptions,
  step: (text: string) => void,
): Promise<string> {
  step('computing the SHA-256');
  const found = await sha256Of(archive, options.signal);
  const wanted = options.sha256?.toLowerCase();
  if (wanted !== undefined && wanted !== found) {
    throw new LexisegError(
      'ERR_LIBTORCH_INSTALL',
      `${basename(archive)} has SHA-256 ${found}, not ${wanted}.`,
      { details: { archive, found, wanted } },
    );
  }
  return found;
}

async function unpackWanted(
  archive: string,
  destination: string,
  options: InstallOptions,
  step: (text: string) => void,
): Promise<void> {
  step(`unpacking ${basename(archive)}`);
  await unpack({
    archive,
    destination,
    wanted: isWanted,
    signal: options.signal,
    onBytes: (done) => options.onProgress?.({ kind: 'bytes', done, total: null }),
  });
}

function isWanted(name: string): boolean {
  return (WANTED.test(name) || WANTED_BESIDE.test(name)) && !UNWANTED.test(name);
}

async function copyFolder(
  root: string,
  entry: string,
  options: InstallOptions,
  step: (text: string) => void,
): Promise<void> {
  checkFlavour(root, options.flavour);
  if (options.sha256 !== undefined) {
    throw new LexisegError('ERR_LIBTORCH_INSTALL', 'A folder has no SHA-256: give an archive.');
  }
  step(`copying ${root}`);
  const filter = (base: string) => async (path: string) => {
    options.signal?.throwIfAborted();
    const name = relative(base, path).split(sep).join('/');
    return name === '' || isWanted((await stat(path)).isDirectory() ? `${name}/` : name);
  };
  await cp(root, join(entry, 'torch'), {
    recursive: true,
    dereference: true,
    filter: filter(root),
  });
  // Libraries of CUDA wheels look for these two folders beside their own.
  for (const beside of ['torch.libs', 'nvidia']) {
    const folder = join(root, '..', beside);
    if (basename(root) === 'torch' && existsSync(folder)) {
      await cp(folder, join(entry, beside), { recursive: true, dereference: true });
    }
  }
}

function findRoot(entry: string): string {
  const roots = ['torch', 'libtorch', '.'].map((name) => join(entry, name));
  const root = roots.find((folder) => existsSync(join(folder, 'lib')));
  if (root === undefined) {
    throw new LexisegError('ERR_LIBTORCH_INSTALL', 'No lib folder was found in what was fetched.');
  }
  return root;
}

function checkFlavour(root: string, flavour: Flavour): LibTorch {
  const libtorch = checkLibTorch(root, LIBTORCH_VERSION, 'cache');
  if ((libtorch.cuda === null) !== (flavour === 'cpu')) {
    throw new LexisegError(
      'ERR_LIBTORCH_INSTALL',
      `What was fetched is LibTorch ${libtorch.version} for ${libtorch.cuda ?? 'CPU only'}, ` +
        `not the ${flavour} build that was asked for.`,
      { details: { version: libtorch.version, cuda: libtorch.cuda, flavour } },
    );
  }
  return libtorch;
}
