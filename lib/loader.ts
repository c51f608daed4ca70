/** Finds LibTorch and the addon, opens both, and explains every way in which that can fail. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LexisegError } from './errors.js';
import type { LibTorch } from './libtorch/check.js';
import { recordLoaded } from './libtorch/configure.js';
import { findLibTorch } from './libtorch/find.js';

export { type Configuration, configure } from './libtorch/configure.js';

const require = createRequire(import.meta.url);
const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What `loader.node` exports; it links neither LibTorch nor the addon. */
interface LibraryLoader {
  /** Version of torch that the addon beside it was compiled with. */
  readonly torchVersion: string;
  /** Opens each path for good, dependencies first; throws with the dynamic linker's words. */
  open(paths: string[]): void;
}

/** The three binaries of one platform, always in one build. */
export interface Binaries {
  readonly addon: string;
  readonly loader: string;
  readonly ops: string;
  /** CUDA kernels; opened only beside a CUDA LibTorch. */
  readonly opsCuda: string | null;
}

let cached: unknown;

/**
 * The addon, loaded at the first call of each thread.
 *
 * @throws LexisegError with a `LIBTORCH_*`, `UNSUPPORTED_LIBC`, `GLIBC_*` or `NATIVE_*` code.
 */
export function loadBinding<Binding>(): Binding {
  if (cached === undefined) cached = load();
  return cached as Binding;
}

function load(): unknown {
  const binaries = findBinaries();
  const loader = requireBinary<LibraryLoader>(binaries.loader);
  const libtorch = findLibTorch(loader.torchVersion);
  const own =
    libtorch.cuda !== null && binaries.opsCuda !== null
      ? [binaries.ops, binaries.opsCuda]
      : [binaries.ops];
  openLibraries(loader, libtorch, own);
  const binding = requireBinary<unknown>(binaries.addon);
  recordLoaded(libtorch.root);
  return binding;
}

/**
 * Files of the addon: this checkout's own build, else the prebuilt ones of the package.
 *
 * @throws LexisegError `ERR_NATIVE_NOT_FOUND` naming the folders looked at and what to do.
 */
export function findBinaries(): Binaries {
  const built = join(packageFolder, 'build', 'Release');
  const addon = join(built, 'lexiseg.node');
  if (existsSync(addon)) return describeBinaries(addon, join(built, 'loader.node'));
  const prebuilt = findPrebuilt();
  if (prebuilt !== null) {
    return describeBinaries(prebuilt, join(dirname(prebuilt), 'loader', 'loader.node'));
  }
  const platform = `${process.platform}-${process.arch}`;
  const folders = [built, join(packageFolder, 'prebuilds', platform)];
  throw new LexisegError(
    'ERR_NATIVE_NOT_FOUND',
    `lexiseg has no addon binary for ${platform} under Node ${process.versions.node}. ` +
      `Looked in:\n  ${folders.join('\n  ')}\nIn a checkout, run: npm run setup`,
    { details: { platform, folders } },
  );
}

function findPrebuilt(): string | null {
  // Only its search is wanted: its main function would also load the addon, before LibTorch.
  const { path: locate } = require('node-gyp-build') as { path: (folder: string) => string };
  try {
    const found = locate(packageFolder);
    return basename(found) === 'loader.node' ? null : found;
  } catch {
    return null;
  }
}

function describeBinaries(addon: string, loader: string): Binaries {
  const folder = dirname(addon);
  const ops = join(folder, 'liblexiseg_ops.so');
  const missing = [addon, loader, ops].filter((path) => !existsSync(path));
  if (missing.length > 0) {
    throw new LexisegError(
      'ERR_NATIVE_NOT_FOUND',
      `The addon in ${folder} is incomplete: ${missing.join(', ')} is not there.`,
      { details: { folders: [folder], missing } },
    );
  }
  const opsCuda = join(folder, 'liblexiseg_ops_cuda.so');
  return { addon, loader, ops, opsCuda: existsSync(opsCuda) ? opsCuda : null };
}

function openLibraries(loader: LibraryLoader, libtorch: LibTorch, own: string[]): void {
  try {
    loader.open([...libtorch.libraries, ...own]);
  } catch (error) {
    const message = messageOf(error);
    const glibc = message.match(/version `GLIBC_([\d.]+)' not found/)?.[1];
    if (glibc) {
      throw new LexisegError(
        'ERR_GLIBC_TOO_OLD',
        `A library needs glibc ${glibc}, newer than this system's: ${message}`,
        { cause: error, details: { needed: glibc, path: libtorch.root } },
      );
    }
    throw new LexisegError(
      'ERR_LIBTORCH_LOAD',
      `LibTorch ${libtorch.version} in ${libtorch.root} could not be opened: ${message}`,
      { cause: error, details: { path: libtorch.root, source: libtorch.source } },
    );
  }
}

function requireBinary<T>(path: string): T {
  try {
    return require(path) as T;
  } catch (error) {
    throw new LexisegError('ERR_NATIVE_LOAD', `${path} could not be loaded: ${messageOf(error)}`, {
      cause: error,
      details: { path },
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
