/** Locks of the cache: what a process that is gone has left holds nobody up. */
import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeLock, withLock } from '../../lib/lock.js';
import { temporaryFolder } from '../cli/places.js';

let folder: string;
let file: string;
beforeEach(() => {
  folder = temporaryFolder();
  file = join(folder, 'deep', '.lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const leave = (text: string): void => {
  mkdirSync(join(folder, 'deep'));
  writeFileSync(file, text);
};

describe('a lock', () => {
  it('is held by one at a time, and gone afterwards', async () => {
    const order: string[] = [];
    const hold = (name: string) =>
      withLock(file, async () => {
        order.push(`${name} in`);
        await new Promise((settle) => setTimeout(settle, 50));
        order.push(`${name} out`);
      });
    await Promise.all([hold('a'), hold('b')]);
    expect(order).toEqual(
      order[0] === 'a in' ? ['a in', 'a out', 'b in', 'b out'] : ['b in', 'b out', 'a in', 'a out'],
    );
    expect(existsSync(file)).toBe(false);
  });

  it('that names this process, which does not hold it, is of a dead one of that number', async () => {
    leave(String(process.pid));
    expect(await withLock(file, async () => 'done')).toBe('done');
  });

  it('of a dead process is taken over although another has its number by now', async () => {
    leave(`${process.ppid} some-lock 1`);
    expect(await withLock(file, async () => 'done')).toBe('done');
  });

  it('of a living process is waited for no longer than asked', async () => {
    leave(`${process.ppid} some-lock`);
    await expect(takeLock(file, { waitMilliseconds: 0 })).rejects.toMatchObject({
      code: 'ERR_CACHE',
      details: { holder: process.ppid },
    });
    expect(existsSync(file)).toBe(true);
  });

  it('that names nobody is no holder, however little it is waited for', async () => {
    leave('');
    const almost = new Date(Date.now() - 9_500);
    utimesSync(file, almost, almost);
    const release = await takeLock(file, { waitMilliseconds: 0 });
    await release();
    expect(existsSync(file)).toBe(false);
  });

  it('that names nobody is taken over when it is old', async () => {
    leave('');
    const old = new Date(Date.now() - 60_000);
    utimesSync(file, old, old);
    expect(await withLock(file, async () => 'done')).toBe('done');
  });

  it('of a dead process is taken over by one alone, however close others follow', async () => {
    mkdirSync(join(folder, 'deep'));
    const found: number[] = [];
    for (let round = 0; round < 60; round++) {
      writeFileSync(file, '999999999');
      const others = new AbortController();
      let inside = 0;
      const taker = async (late: number): Promise<void> => {
        for (let turn = 0; turn < late; turn++) await new Promise(setImmediate);
        const action = async (): Promise<void> => {
          found.push(++inside);
          await new Promise((settle) => setTimeout(settle, 15));
          others.abort();
        };
        await withLock(file, action, { signal: others.signal });
      };
      const takers = Array.from({ length: 8 }, (_, i) => taker(i * (round % 6)));
      const ends = await Promise.allSettled(takers);
      expect(ends.some(({ status }) => status === 'fulfilled')).toBe(true);
    }
    expect(found).toEqual(found.map(() => 1));
    expect(readdirSync(join(folder, 'deep'))).toEqual([]);
  });

  it('is taken over although another process died while it did so', async () => {
    leave('999999999');
    const guard = `${file}.takeover`;
    writeFileSync(guard, '999999998');
    const old = new Date(Date.now() - 60_000);
    utimesSync(guard, old, old);
    expect(await withLock(file, async () => 'done')).toBe('done');
    expect(readdirSync(join(folder, 'deep'))).toEqual([]);
  });

  it('in a folder that cannot be made is an error with a code', async () => {
    writeFileSync(join(folder, 'deep'), 'a file');
    await expect(withLock(file, async () => 'done')).rejects.toMatchObject({ code: 'ERR_CACHE' });
  });
});
