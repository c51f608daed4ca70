/** One writer per cache entry across processes; a lock left by a dead process is taken over. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LexisegError } from '../errors.js';

const WAIT_MILLISECONDS = 30 * 60_000;

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
  await mkdir(dirname(file), { recursive: true });
  const deadline = Date.now() + WAIT_MILLISECONDS;
  let told = false;
  while (!(await take(file))) {
    options.signal?.throwIfAborted();
    const holder = await holderOf(file);
    if (holder !== null && !isAlive(holder)) {
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
  try {
    return await action();
  } finally {
    await rm(file, { force: true });
  }
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
