/** Unpacks the wanted part of a zip archive (a LibTorch archive or a Python wheel), within bounds. */
import { createWriteStream } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { LexisegError } from '../errors.js';
import { makeFolder } from '../make-folder.js';

/** CUDA builds unpack to about 6 GB; anything far above is no LibTorch. */
const MAXIMUM_BYTES = 16 * 1024 ** 3;
const MAXIMUM_ENTRIES = 200_000;

export interface UnpackOptions {
  readonly archive: string;
  readonly destination: string;
  readonly wanted: (name: string) => boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called with unpacked bytes so far; the total is not known before the end. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

/**
 * Writes the wanted entries below the destination and returns how many there were.
 *
 * @throws LexisegError `ERR_LIBTORCH_INSTALL` for a file that is no zip, an entry that would leave
 * the destination, a link, an encrypted entry, or more bytes than a LibTorch may have.
 */
export async function unpack(options: UnpackOptions): Promise<number> {
  const { archive, destination, wanted, signal, onBytes } = options;
  const zip = await openZip(archive);
  let bytes = 0;
  let count = 0;
  let seen = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      signal?.throwIfAborted();
      if (++seen > MAXIMUM_ENTRIES) throw refuse(archive, `it has over ${MAXIMUM_ENTRIES} entries`);
      if (entry.fileName.endsWith('/') || !wanted(entry.fileName)) continue;
      bytes += entry.uncompressedSize;
      if (bytes > MAXIMUM_BYTES) throw refuse(archive, `it unpacks to over ${MAXIMUM_BYTES} bytes`);
      await writeEntry(zip, entry, { archive, destination, signal });
      count++;
      onBytes?.(bytes);
    }
  } catch (error) {
    if (error instanceof LexisegError || signal?.aborted) throw error;
    throw refuse(archive, error instanceof Error ? error.message : String(error), error);
  } finally {
    zip.close();
  }
  return count;
}

async function openZip(archive: string): Promise<ZipFile> {
  try {
    return await openPromise(archive, { autoClose: false, strictFileNames: true });
  } catch (error) {
    throw refuse(archive, error instanceof Error ? error.message : String(error), error);
  }
}

async function writeEntry(
  zip: ZipFile,
  entry: Entry,
  target: { archive: string; destination: string; signal: AbortSignal | undefined },
): Promise<void> {
  const name = posix.normalize(entry.fileName);
  if (name.startsWith('../') || posix.isAbsolute(name) || name.includes('\0')) {
    throw refuse(target.archive, `an entry would be written outside: ${entry.fileName}`);
  }
  const mode = entry.externalFileAttributes >>> 16;
  // The link's target is data of the archive: following it later could leave the destination.
  if ((mode & 0o170000) === 0o120000) throw refuse(target.archive, `${name} is a link`);
  if (entry.isEncrypted()) throw refuse(target.archive, `${name} is encrypted`);
  const path = join(target.destination, ...name.split('/'));
  makeFolder(dirname(path));
  const stream = await zip.openReadStreamPromise(entry);
  const out = createWriteStream(path, { flags: 'wx' });
  await (target.signal ? pipeline(stream, out, { signal: target.signal }) : pipeline(stream, out));
  if ((mode & 0o111) !== 0) await chmod(path, 0o755);
}

function refuse(archive: string, reason: string, cause?: unknown): LexisegError {
  return new LexisegError('ERR_LIBTORCH_INSTALL', `${archive} was not unpacked: ${reason}.`, {
    details: { archive, reason },
    ...(cause === undefined ? {} : { cause }),
  });
}
