/** Locks of the cache: what a process that is gone has left holds nobody up. */
import { existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from '../../lib/libtorch/lock.js';
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

  it('that names nobody is taken over when it is old', async () => {
    leave('');
    const old = new Date(Date.now() - 60_000);
    utimesSync(file, old, old);
    expect(await withLock(file, async () => 'done')).toBe('done');
  });

  it('in a folder that cannot be made is an error with a code', async () => {
    writeFileSync(join(folder, 'deep'), 'a file');
    await expect(withLock(file, async () => 'done')).rejects.toMatchObject({ code: 'ERR_CACHE' });
  });
});
