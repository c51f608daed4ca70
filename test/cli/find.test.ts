import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LexisegError } from '../../lib/errors.js';
import { RECORD_NAME } from '../../lib/libtorch/cache.js';
import { checkLibTorch, isOlder } from '../../lib/libtorch/check.js';
import { configure, recordLoaded } from '../../lib/libtorch/configure.js';
import { findLibTorch } from '../../lib/libtorch/find.js';
import { type LibTorchLook, libtorchFiles, temporaryFolder, writeFiles } from './places.js';

const NAMES = ['LEXISEG_LIBTORCH', 'LIBTORCH', 'LEXISEG_PYTHON', 'LEXISEG_CACHE', 'XDG_CACHE_HOME'];
const before = { ...process.env };
let folder: string;

beforeEach(() => {
  for (const name of NAMES) delete process.env[name];
  folder = temporaryFolder();
  process.env.LEXISEG_CACHE = join(folder, 'cache');
  configure({});
});

afterEach(() => {
  for (const name of NAMES) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
  configure({});
  rmSync(folder, { recursive: true, force: true });
});

function place(name: string, look: LibTorchLook = {}): string {
  return writeFiles(join(folder, name), libtorchFiles(look));
}

function install(name: string, flavour: string, look: LibTorchLook = {}): string {
  const entry = join(folder, 'cache', 'libtorch', name);
  const root = writeFiles(join(entry, 'libtorch'), libtorchFiles(look));
  const { platform, arch } = process;
  const record = {
    version: look.version ?? '2.13.0+cpu',
    flavour,
    platform,
    arch,
    root: 'libtorch',
  };
  writeFileSync(join(entry, RECORD_NAME), JSON.stringify(record));
  return root;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof LexisegError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('the search for LibTorch', () => {
  it('prefers configure, then LEXISEG_LIBTORCH, then LIBTORCH, then the cache', () => {
    const cached = install('2.13.0-cpu', 'cpu');
    const [first, second, third] = ['a', 'b', 'c'].map((name) => place(name));
    expect(findLibTorch('2.13.0')).toMatchObject({ root: cached, source: 'cache' });
    process.env.LIBTORCH = third;
    expect(findLibTorch('2.13.0')).toMatchObject({ root: third, source: 'LIBTORCH' });
    process.env.LEXISEG_LIBTORCH = second;
    expect(findLibTorch('2.13.0')).toMatchObject({ root: second, source: 'LEXISEG_LIBTORCH' });
    configure({ libtorch: first as string });
    expect(findLibTorch('2.13.0')).toMatchObject({ root: first, source: 'configure' });
  });

  it('does not fall through from a place that was named and is wrong', () => {
    install('2.13.0-cpu', 'cpu');
    for (const name of ['LEXISEG_LIBTORCH', 'LIBTORCH']) {
      process.env[name] = join(folder, 'nowhere');
      expect(codeOf(() => findLibTorch('2.13.0'))).toBe('ERR_LIBTORCH_PATH');
      delete process.env[name];
    }
    configure({ libtorch: join(folder, 'nowhere') });
    expect(codeOf(() => findLibTorch('2.13.0'))).toBe('ERR_LIBTORCH_PATH');
  });

  it('lists every place and the command when there is none', () => {
    install('2.12.1-cpu', 'cpu', { version: '2.12.1+cpu' });
    try {
      findLibTorch('2.13.0');
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_LIBTORCH_NOT_FOUND' });
      const { message } = error as Error;
      for (const name of ['configure', 'LEXISEG_LIBTORCH', 'LIBTORCH', 'cache', 'Python torch']) {
        expect(message).toContain(name);
      }
      expect(message).toContain('2.12.1');
      expect(message).toContain('npx lexiseg libtorch install');
    }
  });

  it('passes over cache entries that are incomplete and takes the newest CUDA build first', () => {
    writeFiles(join(folder, 'cache/libtorch/2.13.5-cpu/libtorch'), libtorchFiles());
    install('2.13.0-cpu', 'cpu');
    const cuda = install('2.13.0-cu130', 'cu130', { version: '2.13.0+cu130' });
    expect(findLibTorch('2.13.0')).toMatchObject({ root: cuda, cuda: '13.0' });
  });

  it('asks Python only when told to, and gives its reason when it has no torch', () => {
    const python = join(folder, 'python');
    const root = place('site-packages/torch', { kind: 'wheel', version: '2.13.2' });
    writeFileSync(python, `#!/bin/sh\necho ${root}\n`);
    chmodSync(python, 0o755);
    expect(codeOf(() => findLibTorch('2.13.0'))).toBe('ERR_LIBTORCH_NOT_FOUND');
    process.env.LEXISEG_PYTHON = python;
    expect(findLibTorch('2.13.0')).toMatchObject({ root, source: 'python', version: '2.13.2' });
    writeFileSync(python, '#!/bin/sh\necho\n');
    expect(() => findLibTorch('2.13.0')).toThrow('has no torch package');
    process.env.LEXISEG_PYTHON = join(folder, 'no-python');
    expect(() => findLibTorch('2.13.0')).toThrow('did not run');
  });
});

describe('the check of a folder', () => {
  it('reads archives and wheels, and opens dependencies first', () => {
    const wheel = checkLibTorch(place('w', { kind: 'wheel' }), '2.13.0', 'LIBTORCH');
    expect(wheel).toMatchObject({ version: '2.13.0+cpu', cuda: null });
    expect(wheel.libraries.map((path) => path.slice(path.lastIndexOf('/') + 1))).toEqual([
      'libgomp.so.1',
      'libc10.so',
      'libtorch_cpu.so',
      'libtorch.so',
    ]);
    const cuda = place('g', { kind: 'wheel', version: '2.13.1', cuda: '13.0' });
    expect(checkLibTorch(cuda, '2.13.0', 'LIBTORCH')).toMatchObject({ cuda: '13.0' });
  });

  it('gives each thing that is wrong a code of its own', () => {
    const check = (path: string) => codeOf(() => checkLibTorch(path, '2.13.0', 'LIBTORCH'));
    mkdirSync(join(folder, 'empty'));
    expect(check(join(folder, 'empty'))).toBe('ERR_LIBTORCH_PATH');
    expect(check(place('nameless', { version: '' }))).toBe('ERR_LIBTORCH_PATH');
    expect(check(place('old', { version: '2.12.1+cpu' }))).toBe('ERR_LIBTORCH_VERSION');
    expect(check(place('new', { version: '2.130.0' }))).toBe('ERR_LIBTORCH_VERSION');
    for (const without of ['libgomp.so.1', 'libc10.so', 'libtorch_cpu.so']) {
      expect(check(place(`without-${without}`, { without }))).toBe('ERR_LIBTORCH_INCOMPLETE');
    }
  });

  it('finds a bundled libgomp with a hash in its name beside the torch folder', () => {
    const root = place('site/torch', { kind: 'wheel', without: 'libgomp.so.1' });
    writeFiles(join(folder, 'site/torch.libs'), { 'libgomp-a34b3233.so.1': '' });
    const [gomp] = checkLibTorch(root, '2.13.0', 'LIBTORCH').libraries;
    expect(gomp).toMatch(/torch\.libs\/libgomp-a34b3233\.so\.1$/);
  });

  it('compares versions as numbers', () => {
    expect(isOlder('2.9', '2.28')).toBe(true);
    expect(isOlder('2.36', '2.28')).toBe(false);
    expect(isOlder('2.28', '2.28')).toBe(false);
  });
});

describe('configure', () => {
  it('refuses unknown keys and values that are no path', () => {
    expect(() => configure({ libTorch: 'x' } as never)).toThrow(TypeError);
    expect(() => configure({ libtorch: 7 } as never)).toThrow('Expected a path');
    expect(() => configure(null as never)).toThrow(TypeError);
  });

  it('refuses another LibTorch once one is loaded', () => {
    recordLoaded(join(folder, 'loaded'));
    expect(codeOf(() => configure({ libtorch: join(folder, 'other') }))).toBe('ERR_LIBTORCH_PATH');
    expect(() => configure({ libtorch: join(folder, 'loaded') })).not.toThrow();
  });
});
