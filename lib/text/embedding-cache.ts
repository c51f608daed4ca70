/** Class embeddings in memory and on disk, by text tower, templates and text. */
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expected, LexisegError } from '../errors.js';
import { cacheFolder } from '../libtorch/cache.js';
import type { CacheOption } from '../load-options.js';
import { makeFolder } from '../make-folder.js';
import { checkOptions, LIMITS } from '../options.js';

const MAGIC = Buffer.from('LXE1');
const DIGEST_BYTES = 32;
const PARALLEL_FILES = 32;
/** How many files are written between two looks at the size of the folder. */
const PRUNE_EVERY = 1024;

/** Vectors by key: the most recently used in memory, all of them (up to a limit) on disk. */
export class EmbeddingCache {
  readonly #memory = new Map<string, Float32Array>();
  readonly #folder: string | null;
  /** The caller named the folder, so a folder that cannot be used is an error. */
  readonly #strict: boolean;
  #broken = false;
  #writes = 0;

  constructor(option: CacheOption) {
    if (typeof option === 'boolean') {
      this.#folder = option ? defaultFolder() : null;
      this.#strict = false;
    } else {
      if (option === null || typeof option !== 'object') {
        throw expected('a boolean or { dir }', 'options.cache', option);
      }
      checkOptions(option, ['dir'], 'options.cache');
      if (typeof option.dir !== 'string' || option.dir === '') {
        throw expected('the path of a folder', 'options.cache.dir', option.dir);
      }
      this.#folder = option.dir;
      this.#strict = true;
    }
  }

  /** The vectors that are known, each of `dimension` numbers; null where it must be computed. */
  async read(keys: readonly string[], dimension: number): Promise<(Float32Array | null)[]> {
    return mapInParallel(keys, async (key) => {
      const inMemory = this.#memory.get(key);
      if (inMemory !== undefined) {
        this.#memory.delete(key);
        this.#memory.set(key, inMemory);
        return inMemory;
      }
      const onDisk = await this.#readFile(key, dimension);
      if (onDisk !== null) this.#remember(key, onDisk);
      return onDisk;
    });
  }

  async write(entries: readonly (readonly [key: string, vector: Float32Array])[]): Promise<void> {
    for (const [key, vector] of entries) this.#remember(key, vector);
    if (this.#folder === null || this.#broken || entries.length === 0) return;
    try {
      await mapInParallel(entries, ([key, vector]) => this.#writeFile(key, vector));
      const before = this.#writes;
      this.#writes += entries.length;
      const crossed = Math.floor(this.#writes / PRUNE_EVERY) > Math.floor(before / PRUNE_EVERY);
      if (before === 0 || crossed) await prune(this.#folder, LIMITS.cacheBytes);
    } catch (cause) {
      this.#refuse(cause);
    }
  }

  #remember(key: string, vector: Float32Array): void {
    this.#memory.set(key, vector);
    if (this.#memory.size > LIMITS.cachedEmbeddings) {
      this.#memory.delete(this.#memory.keys().next().value as string);
    }
  }

  async #readFile(key: string, dimension: number): Promise<Float32Array | null> {
    if (this.#folder === null || this.#broken) return null;
    const path = this.#pathOf(key);
    try {
      const info = await stat(path);
      if (!info.isFile() || info.size !== MAGIC.length + dimension * 4 + DIGEST_BYTES) return null;
      const vector = decode(await readFile(path), key);
      // Old entries go first when the folder is too large; this one was just used.
      if (vector !== null) await utimes(path, new Date(), info.mtime).catch(() => {});
      return vector;
    } catch (cause) {
      // A file that is not there or cannot be read is computed again; writing tells what is wrong.
      if ((cause as NodeJS.ErrnoException).code === 'ENOTDIR') this.#refuse(cause);
      return null;
    }
  }

  async #writeFile(key: string, vector: Float32Array): Promise<void> {
    const path = this.#pathOf(key);
    const temporary = `${path}.${process.pid}.${randomUUID()}.tmp`;
    makeFolder(join(path, '..'));
    try {
      await writeFile(temporary, encode(vector, key));
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
  }

  #pathOf(key: string): string {
    return join(this.#folder as string, key.slice(0, 2), key.slice(2));
  }

  #refuse(cause: unknown): void {
    const error = new LexisegError('ERR_CACHE', `Cannot use the cache folder ${this.#folder}`, {
      cause,
      details: { folder: this.#folder, reason: (cause as NodeJS.ErrnoException).code },
    });
    if (this.#strict) throw error;
    if (!this.#broken) {
      process.emitWarning(`${error.message}: ${(cause as Error).message}`, {
        type: 'LexisegWarning',
        code: 'ERR_CACHE',
        detail: 'Text embeddings are computed anew by each process. Pass cache: false for silence.',
      });
    }
    this.#broken = true;
  }
}

/** A key for plain data: 64 hex digits, others for any other data. */
export function cacheKey(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** `text-embeddings` in the cache folder; null for a user without a home. */
function defaultFolder(): string | null {
  try {
    return join(cacheFolder(), 'text-embeddings');
  } catch {
    return null;
  }
}

function encode(vector: Float32Array, key: string): Buffer {
  const payload = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => {
    payload.writeFloatLE(value, index * 4);
  });
  return Buffer.concat([MAGIC, payload, digest(payload, key)]);
}

/** The vector, or null when a bit of the file is wrong. */
function decode(file: Buffer, key: string): Float32Array | null {
  const payload = file.subarray(MAGIC.length, -DIGEST_BYTES);
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  if (!file.subarray(-DIGEST_BYTES).equals(digest(payload, key))) return null;
  return Float32Array.from({ length: payload.length / 4 }, (_, i) => payload.readFloatLE(i * 4));
}

function digest(payload: Buffer, key: string): Buffer {
  return createHash('sha256').update(key).update(payload).digest();
}

/** Deletes the least recently used files until the folder is within `limit` bytes. */
async function prune(folder: string, limit: number): Promise<void> {
  const shards = (await readdir(folder)).filter((name) => /^[0-9a-f]{2}$/.test(name));
  const files: { path: string; size: number; used: number }[] = [];
  await mapInParallel(shards, async (shard) => {
    for (const name of await readdir(join(folder, shard)).catch(() => [])) {
      const path = join(folder, shard, name);
      const info = await stat(path).catch(() => null);
      if (info?.isFile()) files.push({ path, size: info.size, used: info.atimeMs });
    }
  });
  let total = files.reduce((sum, file) => sum + file.size, 0);
  files.sort((a, b) => a.used - b.used);
  for (const file of files) {
    if (total <= limit) break;
    await rm(file.path, { force: true }).catch(() => {});
    total -= file.size;
  }
}

async function mapInParallel<In, Out>(
  items: readonly In[],
  work: (item: In) => Promise<Out>,
): Promise<Out[]> {
  const results = new Array<Out>(items.length);
  let next = 0;
  const lanes = Array.from({ length: Math.min(PARALLEL_FILES, items.length) }, async () => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await work(items[index] as In);
    }
  });
  await Promise.all(lanes);
  return results;
}
