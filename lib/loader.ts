/** Opens LibTorch, the ops library and the addon, and explains every way in which that can fail. */
import {
  type Binaries,
  findBinaries,
  type LibraryLoader,
  reasonOf,
  requireBinary,
} from './binaries.js';
import { LexisegError } from './errors.js';
import { checkPlatform, type LibTorch } from './libtorch/check.js';
import { recordLoaded } from './libtorch/configure.js';
import { findLibTorch } from './libtorch/find.js';

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
  const { binaries, loader } = openLoader();
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

function openLoader(): { binaries: Binaries; loader: LibraryLoader } {
  try {
    const binaries = findBinaries();
    return { binaries, loader: requireBinary<LibraryLoader>(binaries.loader) };
  } catch (error) {
    // No binary is meant for a C library that LibTorch does not run on: that is then the reason.
    checkPlatform();
    throw error;
  }
}

function openLibraries(loader: LibraryLoader, libtorch: LibTorch, own: string[]): void {
  try {
    loader.open([...libtorch.libraries, ...own]);
  } catch (error) {
    const reason = reasonOf(error);
    const glibc = reason.match(/version `GLIBC_([\d.]+)' not found/)?.[1];
    if (glibc) {
      throw new LexisegError(
        'ERR_GLIBC_TOO_OLD',
        `A library needs glibc ${glibc}, newer than this system's: ${reason}`,
        { cause: error, details: { needed: glibc, path: libtorch.root } },
      );
    }
    throw new LexisegError(
      'ERR_LIBTORCH_LOAD',
      `LibTorch ${libtorch.version} in ${libtorch.root} could not be opened: ${reason}`,
      { cause: error, details: { path: libtorch.root, source: libtorch.source } },
    );
  }
}
