/** Where the compiled files of this package are: a checkout's own build, else the prebuilt ones. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LexisegError } from './errors.js';

const require = createRequire(import.meta.url);

/** Folder with package.json, seen from `lib/` and from `dist/` alike. */
export const packageFolder: string = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What builds the binaries; null where the scripts for it are not, as in a package from npm. */
export const SETUP_COMMAND: string | null = existsSync(join(packageFolder, 'scripts', 'setup.mjs'))
  ? 'npm run setup'
  : null;

/** What `loader.node` exports; it links neither LibTorch nor the addon. */
export interface LibraryLoader {
  /** Version of torch that the addon beside it was compiled with. */
  readonly torchVersion: string;
  /** Opens each path for good, dependencies first; throws with the dynamic linker's words. */
  open(paths: string[]): void;
}

/** The binaries of one platform, always of one build. */
export interface Binaries {
  readonly addon: string;
  readonly loader: string;
  readonly ops: string;
  /** CUDA kernels; opened only beside a CUDA LibTorch. */
  readonly opsCuda: string | null;
}

/**
 * Finds the binaries for this platform without loading any.
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
      `Looked in:\n  ${folders.join('\n  ')}\n` +
      (SETUP_COMMAND === null
        ? 'On another platform it is built from its repository: see prebuilds/README.md.'
        : `Run: ${SETUP_COMMAND}`),
    { details: { platform, folders } },
  );
}

/**
 * Requires a `.node` file.
 *
 * @throws LexisegError `ERR_NATIVE_LOAD` with the reason that Node gives.
 */
export function requireBinary<T>(path: string): T {
  try {
    return require(path) as T;
  } catch (error) {
    throw new LexisegError('ERR_NATIVE_LOAD', `${path} could not be loaded: ${reasonOf(error)}`, {
      cause: error,
      details: { path },
    });
  }
}

/** The message of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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
