/** Folders are made, or it is said why not. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder } from '../../lib/make-folder.js';
import { temporaryFolder } from '../cli/places.js';

let root: string;
beforeEach(() => {
  root = temporaryFolder();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('makeFolder', () => {
  it('makes all that are missing, and leaves those that are there', () => {
    makeFolder(join(root, 'a/b/c'));
    writeFileSync(join(root, 'a/b/c/file'), '');
    makeFolder(join(root, 'a/b/c'));
    makeFolder(join(root, 'a'));
  });

  it('does not put a folder where a file is', () => {
    writeFileSync(join(root, 'file'), '');
    expect(() => makeFolder(join(root, 'file'))).toThrow(/EEXIST/);
    expect(() => makeFolder(join(root, 'file/below'))).toThrow(/EEXIST|ENOTDIR/);
  });

  it('ends where the system lets nothing be made', () => {
    expect(() => makeFolder('/proc/nowhere/below')).toThrow(/ENOENT/);
  });
});
