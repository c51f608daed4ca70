/** One writer per cache entry across processes; a lock left by a dead process is taken over. */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LexisegError } from '../errors.js';

const WAIT_MILLISECONDS = 30 * 60_000;
const NAMELESS_MILLISECONDS = 10_000;
/** Locks of this process. */
const held = new Set<string>();

/**
 * Runs an action while holding a lock file, which is removed whatever happens.
 *
 * @throws LexisegError `ERR_CACHE` when another process holds the lock for half an hour.
 */
export async function withLock<T>(
  file: string,
  action: () => Promise<T>,
  options: { signal?: AbortSignal | undefined; onWait?: (pid: number) => void } = {},
): Promise<T> {
  await makeFolder(dirname(file));
  const deadline = Date.now() + WAIT_MILLISECONDS;
  let told = false;
  while (!(await take(file))) {
    options.signal?.throwIfAborted();
    const holder = await holderOf(file);
    if (holder === null ? await isAbandoned(file) : !isAlive(holder, file)) {
      await rm(file, { force: true });
      continue;
    }
    if (Date.now() > deadline) {
      throw new LexisegError('ERR_CACHE', `${file} is held by process ${holder}.`, {
        details: { file, holder },
      });
    }
    if (!told && holder !== null) options.onWait?.(holder);
    told ||= holder !== null;
    await sleep(250, undefined, options.signal ? { signal: options.signal } : {});
  }
  held.add(file);
  try {
    return await action();
  } finally {
    held.delete(file);
    await rm(file, { force: true });
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new LexisegError('ERR_CACHE', `${folder} cannot be made: ${cause.message}`, { cause });
  });
}

async function take(file: string): Promise<boolean> {
  try {
    await writeFile(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new LexisegError('ERR_CACHE', `${file} could not be written: ${error}`, { cause: error });
  }
}

async function holderOf(file: string): Promise<number | null> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
}

/** A lock without a name: its process ended before it wrote one. */
async function isAbandoned(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > NAMELESS_MILLISECONDS;
}

/** Whether the holder of a lock still runs. In containers a new process often has a dead one's number. */
function isAlive(pid: number, file: string): boolean {
  if (pid === process.pid) return held.has(file);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
