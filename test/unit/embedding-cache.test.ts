/** The cache of class embeddings on disk: hits, corruption, folders that cannot be used. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cacheKey, EmbeddingCache } from '../../lib/text/embedding-cache.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lexiseg-cache-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const key = cacheKey('ab'.repeat(32), 'float32', ['a photo of a {}.'], 'cat');
const vector = Float32Array.from([0.6, -0.8, 1e-7]);
const files = (): string[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile());

describe('EmbeddingCache', () => {
  it('gives back in another process what was written, bit for bit', async () => {
    await new EmbeddingCache({ dir }).write([[key, vector]]);
    const [read] = await new EmbeddingCache({ dir }).read([key], 3);
    expect(read).toEqual(vector);
    expect(files().filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('lies in the folder that LEXISEG_CACHE names', async () => {
    vi.stubEnv('LEXISEG_CACHE', dir);
    try {
      await new EmbeddingCache(true).write([[key, vector]]);
    } finally {
      vi.unstubAllEnvs();
    }
    expect(files()).toHaveLength(1);
    expect(files()[0]).toContain(join(dir, 'text-embeddings'));
  });

  it('computes anew what is missing, damaged, cut, of another width or under another key', async () => {
    await new EmbeddingCache({ dir }).write([[key, vector]]);
    const [path = ''] = files();
    const good = readFileSync(path);
    expect(await new EmbeddingCache({ dir }).read([key], 4)).toEqual([null]);
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
      writeFileSync(path, bad);
      expect(await new EmbeddingCache({ dir }).read([key], 3)).toEqual([null]);
    }
    writeFileSync(path, good.subarray(0, 20));
    expect(await new EmbeddingCache({ dir }).read([key], 3)).toEqual([null]);
    const other = key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');
    writeFileSync(join(path, '..', other.slice(2)), good);
    expect(await new EmbeddingCache({ dir }).read([other], 3)).toEqual([null]);
  });

  it('has another key for any other data', () => {
    const keys = [
      cacheKey('a', 'float32', ['{}'], 'cat'),
      cacheKey('b', 'float32', ['{}'], 'cat'),
      cacheKey('a', 'bfloat16', ['{}'], 'cat'),
      cacheKey('a', 'float32', ['{}.'], 'cat'),
      cacheKey('a', 'float32', ['{}'], 'Cat'),
      cacheKey('a', 'float32', ['{}', 'cat'], ''),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('refuses a folder of the caller that cannot be used', async () => {
    const file = join(dir, 'file');
    writeFileSync(file, 'x');
    const cache = new EmbeddingCache({ dir: file });
    await expect(cache.write([[key, vector]])).rejects.toMatchObject({ code: 'ERR_CACHE' });
    expect(() => new EmbeddingCache({ dir: 5 } as never)).toThrow(/options.cache/);
    expect(() => new EmbeddingCache(null as never)).toThrow(/options.cache/);
  });

  it('keeps to memory when told so', async () => {
    const cache = new EmbeddingCache(false);
    await cache.write([[key, vector]]);
    expect(await cache.read([key], 3)).toEqual([vector]);
    expect(await new EmbeddingCache(false).read([key], 3)).toEqual([null]);
    expect(files()).toEqual([]);
  });
});
