/** Files that a user may hand in as a bundle: each is read or refused with a code. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../lib/native.js';
import { demoBundle, expectCode, fixtures, tinyBundle, tinyBytes } from './bundle.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lexiseg-bundles-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function written(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const read = (path: string, names: string[] = ['manifest.json']) =>
  native().readExtraFiles(native().createJob(), path, names);
const load = (path: string) => native().loadModel(native().createJob(), path, 'cpu', 'float32', 0);
const hash = (path: string) => native().hashWeights(native().createJob(), path);

async function expectRefused(path: string): Promise<void> {
  await expectCode(() => read(path), 'ERR_BUNDLE_READ');
  await expectCode(() => load(path), 'ERR_BUNDLE_READ');
  await expectCode(() => hash(path), 'ERR_BUNDLE_READ');
}

/** One ZIP entry whose compressed bytes are given, followed by its directory. */
function zipOf(name: string, packed: Uint8Array, size: number): Buffer {
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(8, 8);
  local.writeUInt32LE(packed.length, 18);
  local.writeUInt32LE(size, 22);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(8, 10);
  entry.writeUInt32LE(packed.length, 20);
  entry.writeUInt32LE(size, 24);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(entry.length + name.length, 12);
  end.writeUInt32LE(local.length + name.length + packed.length, 16);
  return Buffer.concat([local, Buffer.from(name), packed, entry, Buffer.from(name), end]);
}

describe('readExtraFiles', () => {
  it('reads the manifest without the weights, and null for what is not there', async () => {
    const [manifest, absent] = await read(tinyBundle, ['manifest.json', 'absent.txt']);
    expect(JSON.parse(new TextDecoder().decode(manifest as Uint8Array)).formatVersion).toBe(1);
    expect(absent).toBeNull();
    expect(await read(tinyBundle, [])).toEqual([]);
  });

  it('refuses paths and names that are no strings', async () => {
    await expect(read(5 as never)).rejects.toThrow(TypeError);
    await expect(read(tinyBundle, [5] as never)).rejects.toThrow(TypeError);
    await expect(read(tinyBundle, 'manifest.json' as never)).rejects.toThrow(TypeError);
  });
});

describe('hashWeights', () => {
  it.each([
    ['stored', tinyBundle],
    ['deflated', demoBundle],
  ])('agrees with the manifest where tensors are %s', async (_, path) => {
    const [manifest] = await read(path);
    const { weights } = JSON.parse(new TextDecoder().decode(manifest as Uint8Array));
    expect(await hash(path)).toBe(weights.sha256);
  });

  it('changes with a byte of the weights', async () => {
    const bytes = tinyBytes();
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] as number) ^ 1;
    expect(await hash(written('changed.pt', bytes))).not.toBe(await hash(tinyBundle));
  });
});

describe('a file that is no bundle', () => {
  it('is refused when it is absent, a folder or empty', async () => {
    await expectRefused(join(folder, 'absent.pt'));
    await expectRefused(folder);
    await expectRefused(written('empty.pt', new Uint8Array()));
  });

  it('is refused when it was cut', async () => {
    const bytes = tinyBytes();
    for (const share of [0.001, 0.1, 0.5, 0.9, 0.9999]) {
      await expectRefused(written('cut.pt', bytes.subarray(0, Math.floor(bytes.length * share))));
    }
  });

  it('is refused when it is noise, with or without an ending', async () => {
    const noise = Uint8Array.from({ length: 50_000 }, (_, i) => (i * i * 31 + (i >> 3)) & 255);
    await expectRefused(written('noise.pt', noise));
    const ending = Buffer.alloc(22, 0xff);
    ending.writeUInt32LE(0x06054b50, 0);
    ending.writeUInt16LE(0, 20);
    await expectRefused(written('ending.pt', Buffer.concat([noise, ending])));
  });

  it('is refused when it is a bomb', async () => {
    const zeros = deflateRawSync(Buffer.alloc(64 << 20));
    const before = native().memoryStats().rss;
    await expectRefused(written('bomb.pt', zipOf('a/extra/manifest.json', zeros, 64 << 20)));
    await expectRefused(written('liar.pt', zipOf('a/data.pkl', zeros, 0xfffffff0)));
    await expectRefused(written('tensor.pt', zipOf('a/data/0', zeros, 64 << 20)));
    expect(native().memoryStats().rss - before).toBeLessThan(100 << 20);
  });

  it.each([
    'checkpoint.pt',
    'legacy-checkpoint.pt',
    'compressed-module.pt',
    'nested-code.pt',
    'nested-data.pt',
    'writes-when-loaded.pt',
    'outgrows-its-record.pt',
  ])('is refused when it is %s', async (name) => {
    await expectCode(() => load(join(fixtures, name)), 'ERR_BUNDLE_READ');
  });

  it.each([
    'foreign-module.pt',
    'wrong-arity.pt',
    'writes-file.pt',
    'maps-file.pt',
    'forks-writing.pt',
    'awaits-writing.pt',
    'calls-interface.pt',
    'reinterprets-memory.pt',
    'writes-anywhere.pt',
  ])('breaks the contract when it is %s', async (name) => {
    await expectCode(() => load(join(fixtures, name)), 'ERR_BUNDLE_CONTRACT');
    expect(existsSync('/tmp/lexiseg-written-by-a-bundle')).toBe(false);
  });

  it.each([
    ['stored', tinyBytes],
    ['deflated', () => readFileSync(demoBundle)],
  ])('gives a code or a model with bytes flipped anywhere, its tensors %s', async (_, read) => {
    const bytes = read();
    let state = 12345;
    const roll = () => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return state;
    };
    for (let i = 0; i < 20; i += 1) {
      const damaged = Buffer.from(bytes);
      for (let k = 0; k < 30; k += 1) damaged[roll() % damaged.length] = roll() & 255;
      const path = written('flipped.pt', damaged);
      const code = await load(path).then(
        async (model) => {
          await model.dispose();
          return 'ERR_BUNDLE_none';
        },
        (error) => error.code,
      );
      expect(code).toMatch(/^ERR_BUNDLE_/);
    }
  });
});
