import { createHash } from 'node:crypto';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheEntries } from '../../lib/libtorch/cache.js';
import { type InstallOptions, installLibTorch } from '../../lib/libtorch/install.js';
import { type LibTorchLook, libtorchFiles, temporaryFolder, writeFiles } from './places.js';
import { type ZipItem, zipOf } from './zip.js';

const before = { ...process.env };
let folder: string;
let cache: string;

beforeEach(() => {
  folder = temporaryFolder();
  cache = join(folder, 'cache');
  process.env.LEXISEG_CACHE = cache;
});

afterEach(() => {
  process.env = { ...before };
  rmSync(folder, { recursive: true, force: true });
});

function archive(top: string, look: LibTorchLook = {}, extra: ZipItem[] = []): string {
  const files = libtorchFiles({ kind: top === 'torch' ? 'wheel' : 'archive', ...look });
  const items = Object.entries(files).map(([name, data]) => ({ name: `${top}/${name}`, data }));
  const path = join(folder, `${top}.zip`);
  writeFileSync(path, zipOf([...items, ...extra]));
  return path;
}

/** A refused installation must leave the cache as it was. */
async function refused(options: Partial<InstallOptions>): Promise<string> {
  const error = await installLibTorch({ flavour: 'cpu', ...options }).catch((reason) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(cacheEntries()).toEqual([]);
  const left = existsSync(join(cache, 'libtorch')) ? readdirSync(join(cache, 'libtorch')) : [];
  expect(left).toEqual([]);
  return `${error.code}: ${error.message}`;
}

describe('installing LibTorch', () => {
  it('unpacks an archive and a wheel, and leaves out what only Python needs', async () => {
    const extra = [
      { name: 'torch/lib/libtorch_python.so', data: 'x' },
      { name: 'torch/nn/modules.py', data: 'x' },
      { name: 'torch/include/ATen/ATen.h', data: 'x' },
    ];
    const from = archive('torch', {}, extra);
    const { entry, installed } = await installLibTorch({ flavour: 'cpu', from });
    expect(installed).toBe(true);
    expect(existsSync(join(entry.root, 'lib/libtorch_cpu.so'))).toBe(true);
    expect(existsSync(join(entry.root, 'include/ATen/ATen.h'))).toBe(true);
    expect(existsSync(join(entry.root, 'lib/libtorch_python.so'))).toBe(false);
    expect(existsSync(join(entry.root, 'nn'))).toBe(false);
    expect(entry.record).toMatchObject({ version: '2.13.0+cpu', flavour: 'cpu' });
    const again = await installLibTorch({ flavour: 'cpu', from });
    expect(again.installed).toBe(false);
    const forced = await installLibTorch({
      flavour: 'cpu',
      from: archive('libtorch'),
      force: true,
    });
    expect(forced.entry.record.root).toBe('libtorch');
    expect(readdirSync(join(cache, 'libtorch'))).toEqual([
      `2.13.0-cpu-${process.platform}-${process.arch}`,
    ]);
  });

  it('copies a folder', async () => {
    const from = writeFiles(join(folder, 'mine'), { ...libtorchFiles(), 'README.md': 'x' });
    const { entry } = await installLibTorch({ flavour: 'cpu', from });
    expect(entry.record).toMatchObject({ source: from, sha256: null });
    expect(existsSync(join(entry.root, 'lib/libc10.so'))).toBe(true);
    expect(existsSync(join(entry.root, 'README.md'))).toBe(false);
  });

  it('fetches a URL through redirects and checks its SHA-256', async () => {
    const bytes = zipOf(
      Object.entries(libtorchFiles()).map(([name, data]) => ({ name: `libtorch/${name}`, data })),
    );
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const { server, url } = await serve((path) => (path === '/libtorch.zip' ? bytes : null));
    try {
      const from = `${url}/moved`;
      expect(await refused({ from, sha256: '0'.repeat(64) })).toContain(sha256);
      const { entry } = await installLibTorch({ flavour: 'cpu', from, sha256 });
      expect(entry.record).toMatchObject({ source: from, sha256 });
      // What is there is not what another checksum stands for.
      const other = installLibTorch({ flavour: 'cpu', from, sha256: '0'.repeat(64) });
      await expect(other).rejects.toMatchObject({
        code: 'ERR_LIBTORCH_INSTALL',
        message: expect.stringContaining('--force'),
      });
      expect((await installLibTorch({ flavour: 'cpu', from, sha256 })).installed).toBe(false);
      await installLibTorch({ flavour: 'cpu', from, force: true });
    } finally {
      server.close();
    }
  });

  it('has pip look in the index of PIP_EXTRA_INDEX_URL, and names it when pip finds nothing', async () => {
    const name = 'torch-2.13.0+cpu-py3-none-any.whl';
    const about = 'torch-2.13.0+cpu.dist-info';
    const wheel = zipOf([
      ...Object.entries(libtorchFiles({ kind: 'wheel' })).map(([path, data]) => ({
        name: `torch/${path}`,
        data,
      })),
      {
        name: `${about}/METADATA`,
        data: 'Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n',
      },
      {
        name: `${about}/WHEEL`,
        data: 'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n',
      },
      { name: `${about}/RECORD`, data: '' },
    ]);
    const page = Buffer.from(`<a href="/${encodeURIComponent(name)}">${name}</a>`);
    const { server, url } = await serve((path) => {
      if (path === '/extra/torch/') return page;
      return decodeURIComponent(path) === `/${name}` ? wheel : null;
    });
    // Nothing of the machine's own settings: no other index, no folder of wheels, no proxy.
    for (const key of Object.keys(process.env)) if (/^PIP_/.test(key)) delete process.env[key];
    const settings = { PIP_CONFIG_FILE: devNull, NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' };
    Object.assign(process.env, settings, { PIP_INDEX_URL: `${url}/own` });
    try {
      expect(await refused({})).toContain('PIP_EXTRA_INDEX_URL');
      process.env.PIP_EXTRA_INDEX_URL = `${url}/extra`;
      const { entry } = await installLibTorch({ flavour: 'cpu' });
      expect(entry.record).toMatchObject({ version: '2.13.0+cpu' });
    } finally {
      server.close();
    }
  });

  it('refuses a server that fails, and any server when offline', async () => {
    const { server, url } = await serve(() => null);
    try {
      expect(await refused({ from: `${url}/none.zip` })).toContain('answered 404');
      process.env.LEXISEG_OFFLINE = '1';
      expect(await refused({ from: `${url}/none.zip` })).toContain('LEXISEG_OFFLINE');
    } finally {
      server.close();
    }
  });

  it('refuses what is not there, no zip, or another build', async () => {
    expect(await refused({ from: join(folder, 'nothing.zip') })).toContain('does not exist');
    writeFileSync(join(folder, 'text.zip'), 'x'.repeat(1000));
    expect(await refused({ from: join(folder, 'text.zip') })).toContain('ERR_LIBTORCH_INSTALL');
    const old = archive('libtorch', { version: '2.12.0+cpu' });
    expect(await refused({ from: old })).toContain('ERR_LIBTORCH_VERSION');
    const cuda = archive('libtorch', { version: '2.13.0+cu130' });
    expect(await refused({ from: cuda })).toContain('not the cpu build');
    const broken = archive('libtorch', { without: 'libc10.so' });
    expect(await refused({ from: broken })).toContain('ERR_LIBTORCH_INCOMPLETE');
  });

  it('refuses archives that would write elsewhere, hold links, or claim absurd sizes', async () => {
    const bad: [ZipItem, string][] = [
      [{ name: '../lib/evil.so', data: 'x' }, 'invalid relative path'],
      [{ name: '/lib/evil.so', data: 'x' }, 'absolute path'],
      [{ name: 'torch/lib/evil.so', data: '/etc/passwd', mode: 0o120777 }, 'is a link'],
      [{ name: 'torch/lib/evil.so', data: 'x', claimedSize: 0xfffffff0 }, 'ize'],
    ];
    for (const [item, reason] of bad) {
      expect(await refused({ from: archive('torch', {}, [item]) })).toContain(reason);
    }
    expect(existsSync(join(folder, 'lib'))).toBe(false);
  });

  it('stops when it is aborted', async () => {
    const signal = AbortSignal.abort();
    const from = archive('libtorch');
    await expect(installLibTorch({ flavour: 'cpu', from, signal })).rejects.toThrow(/abort/i);
    expect(cacheEntries()).toEqual([]);
  });

  it('takes over the lock of a process that is gone', async () => {
    const name = `2.13.0-cpu-${process.platform}-${process.arch}`;
    writeFiles(join(cache, 'libtorch'), { [`.${name}.lock`]: '999999999' });
    const { installed } = await installLibTorch({ flavour: 'cpu', from: archive('libtorch') });
    expect(installed).toBe(true);
  });

  it('lets two installations at once end with one entry', async () => {
    const from = archive('libtorch');
    const both = await Promise.all([1, 2].map(() => installLibTorch({ flavour: 'cpu', from })));
    expect(both.map(({ installed }) => installed).sort()).toEqual([false, true]);
  });
});

async function serve(
  bodyOf: (path: string) => Buffer | null,
): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    if (request.url === '/moved') {
      response.writeHead(302, { location: '/libtorch.zip' }).end();
      return;
    }
    const body = bodyOf(request.url ?? '');
    // pip reads an index only where it is said to be a page.
    const type = request.url?.endsWith('/') ? 'text/html' : 'application/octet-stream';
    const headers = { 'content-length': body?.length, 'content-type': type };
    if (body) response.writeHead(200, headers).end(body);
    else response.writeHead(404).end('nothing here');
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
