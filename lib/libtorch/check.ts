/** Everything that can be known of a LibTorch folder before the dynamic linker touches it. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LexisegError } from '../errors.js';
import { LIBRARIES, MINIMUM_GLIBC, minorOf } from './release.js';

/** Who named the folder. */
export type Source = 'configure' | 'LEXISEG_LIBTORCH' | 'LIBTORCH' | 'cache' | 'python';

/** A LibTorch that passed every check, with the files to open. */
export interface LibTorch {
  readonly root: string;
  /** As its version file says, e.g. `2.13.0+cpu`. */
  readonly version: string;
  /** CUDA it was built for, e.g. `13.0`; `null` for a CPU build. */
  readonly cuda: string | null;
  readonly source: Source;
  /** Absolute paths, dependencies first. */
  readonly libraries: readonly string[];
}

/** Stops with a code of its own on a platform that LibTorch has no build for. */
export function checkPlatform(): void {
  if (process.platform !== 'linux') return;
  const version = glibcVersion();
  if (version === null) {
    throw new LexisegError(
      'ERR_UNSUPPORTED_LIBC',
      'LibTorch needs glibc and this Node runs on another C library (musl, as on Alpine). ' +
        'Use a Debian, Ubuntu or Red Hat based image.',
      { details: { platform: process.platform, arch: process.arch } },
    );
  }
  if (isOlder(version, MINIMUM_GLIBC)) {
    throw new LexisegError(
      'ERR_GLIBC_TOO_OLD',
      `LibTorch needs glibc ${MINIMUM_GLIBC} or newer; this system has ${version}.`,
      { details: { found: version, needed: MINIMUM_GLIBC } },
    );
  }
}

/** glibc of the running process, or `null` when there is none. */
export function glibcVersion(): string | null {
  // Node 20 has the switch, its type declarations do not.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  const before = report.excludeNetwork ?? false;
  // Without this, building the report looks up a host name for every open socket.
  report.excludeNetwork = true;
  try {
    const value = report.getReport() as unknown as { header?: { glibcVersionRuntime?: string } };
    return value.header?.glibcVersionRuntime ?? null;
  } finally {
    report.excludeNetwork = before;
  }
}

/** Numeric comparison of dotted versions. */
export function isOlder(version: string, than: string): boolean {
  const left = version.split('.').map(Number);
  const right = than.split('.').map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/**
 * Checks a folder without loading anything from it.
 *
 * @param root - A LibTorch folder, or the `torch` folder of a Python installation.
 * @param builtFor - Version of torch that the addon was compiled with, or `null` for any.
 * @throws LexisegError `ERR_LIBTORCH_PATH`, `ERR_LIBTORCH_VERSION` or `ERR_LIBTORCH_INCOMPLETE`.
 */
export function checkLibTorch(root: string, builtFor: string | null, source: Source): LibTorch {
  const lib = join(root, 'lib');
  if (!isFolder(root) || !isFolder(lib)) {
    throw new LexisegError(
      'ERR_LIBTORCH_PATH',
      `${root} is no LibTorch: ${isFolder(root) ? 'it has no lib folder' : 'no such folder'}.`,
      { details: { path: root, source } },
    );
  }
  const { version, cuda } = readVersion(root, source);
  if (builtFor !== null && minorOf(version) !== minorOf(builtFor)) {
    throw new LexisegError(
      'ERR_LIBTORCH_VERSION',
      `${root} is LibTorch ${version}, but the addon was built for ${minorOf(builtFor)}.x.`,
      { details: { path: root, source, found: version, needed: builtFor } },
    );
  }
  return { root, version, cuda, source, libraries: findLibraries(root, lib, source) };
}

/** Reads `build-version` (archives) or `version.py` (Python wheels). */
function readVersion(root: string, source: Source): { version: string; cuda: string | null } {
  const archive = readText(join(root, 'build-version'))?.trim();
  if (archive) return { version: archive, cuda: cudaOfTag(root, archive) };
  const python = readText(join(root, 'version.py'));
  const version = python?.match(/__version__\s*=\s*['"]([^'"]+)['"]/)?.[1];
  if (python && version) {
    const cuda = python.match(/^cuda[^=\n]*=\s*['"]([\d.]+)['"]/m)?.[1];
    return { version, cuda: cuda ?? null };
  }
  throw new LexisegError(
    'ERR_LIBTORCH_PATH',
    `${root} does not say which version it is: neither build-version nor version.py is there.`,
    { details: { path: root, source } },
  );
}

function cudaOfTag(root: string, version: string): string | null {
  const digits = version.match(/\+cu(\d+)$/)?.[1];
  if (digits) return `${digits.slice(0, -1)}.${digits.slice(-1)}`;
  return existsSync(join(root, 'lib', 'libtorch_cuda.so')) ? 'unknown' : null;
}

function findLibraries(root: string, lib: string, source: Source): string[] {
  const libraries: string[] = [];
  const missing: string[] = [];
  // auditwheel moves bundled libraries of some wheels into a sibling folder.
  const folders = [lib, join(root, '..', 'torch.libs')].filter(isFolder);
  for (const { pattern, label, required } of LIBRARIES) {
    const paths = folders.flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => pattern.test(name))
        .map((name) => join(folder, name)),
    );
    if (paths[0] !== undefined) libraries.push(paths[0]);
    else if (required) missing.push(label);
  }
  if (missing.length > 0) {
    throw new LexisegError(
      'ERR_LIBTORCH_INCOMPLETE',
      `${root} lacks ${missing.join(', ')} in its lib folder.`,
      { details: { path: root, source, missing } },
    );
  }
  return libraries;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
