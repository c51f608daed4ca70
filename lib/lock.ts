/** Files that say who works somewhere; a lock left by a dead process is taken over. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LexisegError } from './errors.js';
import { makeFolder } from './make-folder.js';

const WAIT_MILLISECONDS = 30 * 60_000;
const NAMELESS_MILLISECONDS = 10_000;
/** What the locks of this process say of their holder. */
const held = new Set<string>();

interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once of the process that is waited for. */
  readonly onWait?: (pid: number) => void;
  /** Default half an hour. */
  readonly waitMilliseconds?: number;
}

/**
 * Runs an action while holding a lock file, which is removed whatever happens.
 *
 * @throws LexisegError as {@link takeLock}.
 */
export async function withLock<T>(
  file: string,
  action: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const release = await takeLock(file, options);
  try {
    return await action();
  } finally {
    await release();
  }
}

/**
 * Takes a lock file and gives what lets it go.
 *
 * @throws LexisegError `ERR_CACHE` when another holds the lock for as long as it is waited for, with
 *   its process as `details.holder`.
 */
export async function takeLock(
  file: string,
  options: LockOptions = {},
): Promise<() => Promise<void>> {
  makeFolderOf(file);
  const deadline = Date.now() + (options.waitMilliseconds ?? WAIT_MILLISECONDS);
  const own = `${process.pid} ${randomUUID()} ${startOf(process.pid)}`;
  // Before it is written: whoever reads it must know it for a living one.
  held.add(own);
  try {
    for (let told = false; !(await take(file, own)); ) {
      options.signal?.throwIfAborted();
      if (await removeLeft(file)) continue;
      // None: just let go, or about to get its name, or left without one, which shows soon.
      const holder = pidOf(await textOf(file));
      if (holder !== null && Date.now() >= deadline) {
        throw new LexisegError('ERR_CACHE', `${file} is held by process ${holder}.`, {
          details: { file, holder },
        });
      }
      if (!told && holder !== null) options.onWait?.(holder);
      told ||= holder !== null;
      await sleep(250, undefined, options.signal ? { signal: options.signal } : {});
    }
  } catch (error) {
    held.delete(own);
    throw error;
  }
  return async () => {
    await rm(file, { force: true });
    held.delete(own);
  };
}

/**
 * Removes a lock that a dead process has left; false while it is held. One process at a time looks and
 * removes: two that had both seen the dead one's lock would remove each other's new one.
 */
async function removeLeft(file: string): Promise<boolean> {
  if (!(await isLeft(file))) return false;
  const guard = `${file}.takeover`;
  if (!(await take(guard, String(process.pid)))) {
    // It is there for an instant, so that an old one is of a process that died within it.
    if (await isOld(guard)) await rm(guard, { force: true });
    return false;
  }
  try {
    if (!(await isLeft(file))) return false;
    await rm(file, { force: true });
    return true;
  } finally {
    await rm(guard, { force: true });
  }
}

function makeFolderOf(file: string): void {
  const folder = dirname(file);
  try {
    makeFolder(folder);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new LexisegError('ERR_CACHE', `${folder} cannot be made: ${reason}`, { cause });
  }
}

async function take(file: string, own: string): Promise<boolean> {
  try {
    await writeFile(file, own, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new LexisegError('ERR_CACHE', `${file} could not be written: ${error}`, { cause: error });
  }
}

const textOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');

function pidOf(text: string): number | null {
  const pid = Number.parseInt(text, 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
}

/** Whether nobody holds the lock that is there; one without a name may be about to get it. */
async function isLeft(file: string): Promise<boolean> {
  const text = await textOf(file);
  const pid = pidOf(text);
  return pid === null ? isOld(file) : !isAlive(pid, text);
}

async function isOld(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > NAMELESS_MILLISECONDS;
}

/** Whether the holder of a lock still runs. In containers a new process often has a dead one's number. */
function isAlive(pid: number, text: string): boolean {
  if (pid === process.pid) return held.has(text);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const [, , started = ''] = text.split(' ');
  return started === '' || startOf(pid) === '' || started === startOf(pid);
}

/** When a process began, in the system's own count; empty where that is not told. */
function startOf(pid: number): string {
  try {
    // The name before it, in parentheses, may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return fields?.[19] ?? '';
  } catch {
    return '';
  }
}
