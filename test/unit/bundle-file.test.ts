/** Bundles by name: those that come with the package, and files that stand before them. */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readManifest } from '../../lib/index.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE } from '../e2e/bundle-file.js';

const home = process.cwd();
let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
  process.chdir(folder);
});

afterEach(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

describe('a bundle by name', () => {
  it('is the one that comes with the package, wherever the process works', async () => {
    expect(await readManifest('demo-fc-clip')).toMatchObject({ weights: { kind: 'trained' } });
  });

  it('is a file of that name in the working folder before it, but no folder', async () => {
    mkdirSync('demo-fc-clip');
    expect(await readManifest('demo-fc-clip')).toMatchObject({ weights: { kind: 'trained' } });
    rmSync('demo-fc-clip', { recursive: true });
    copyFileSync(TINY_BUNDLE, join(folder, 'demo-fc-clip'));
    expect(await readManifest('demo-fc-clip')).toMatchObject({ weights: { kind: 'random' } });
  });

  it('that does not come with the package is refused with those that do', async () => {
    const refused = readManifest('demo-fc-clap');
    await expect(refused).rejects.toMatchObject({ code: 'ERR_BUNDLE_READ' });
    await expect(refused).rejects.toThrow(/demo-fc-clap: ENOENT; shipped: .*demo-fc-clip/);
    await expect(readManifest('./demo-fc-clip')).rejects.toThrow(/ENOENT$/);
  });
});
