/**
 * Copies the built binaries, stripped and checked, to where the npm package carries them:
 *
 *   prebuilds/<platform>-<arch>/lexiseg.napi.glibc.node   the addon, found by node-gyp-build
 *   prebuilds/<platform>-<arch>/liblexiseg_ops.so         the kernels
 *   prebuilds/<platform>-<arch>/liblexiseg_ops_cuda.so    those for CUDA, where they were built
 *   prebuilds/<platform>-<arch>/loader/loader.node        opens LibTorch before the addon
 *   prebuilds/<platform>-<arch>/build.json                what they need
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { main, root, StepError, say } from './steps.mjs';

const built = join(root, 'build', 'Release');
const target = join(root, 'prebuilds', `${process.platform}-${process.arch}`);

const FILES = [
  { from: 'lexiseg.node', to: 'lexiseg.napi.glibc.node' },
  { from: 'liblexiseg_ops.so', to: 'liblexiseg_ops.so' },
  { from: 'loader.node', to: 'loader/loader.node' },
];
const CUDA_FILE = { from: 'liblexiseg_ops_cuda.so', to: 'liblexiseg_ops_cuda.so' };

/** Libraries that a binary may ask for by name: the system's, LibTorch's (opened before) and ours. */
const ALLOWED =
  /^(lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|gomp)\.so\.\d+|ld-linux.*|lib(c10|torch|torch_cpu)\.so|liblexiseg_ops\.so)$/;
/** What the kernels for CUDA may ask for besides. */
const ALLOWED_TO_CUDA = /^(libcudart\.so\.\d+|lib(c10|torch)_cuda\.so)$/;

await main(async () => {
  if (process.platform !== 'linux') {
    throw new StepError(`${process.platform} needs a step of its own: see prebuilds/README.md`);
  }
  const missing = FILES.filter(({ from }) => !existsSync(join(built, from)));
  if (missing.length > 0) {
    throw new StepError(`not built: ${missing.map(({ from }) => from).join(', ')}; npm run setup`);
  }
  rmSync(target, { recursive: true, force: true });
  let glibc = '2.17';
  const files = existsSync(join(built, CUDA_FILE.from)) ? [...FILES, CUDA_FILE] : FILES;
  for (const { from, to } of files) {
    const path = join(target, to);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(join(built, from), path);
    tool('strip', ['--strip-unneeded', path]);
    checkLinks(path, from === CUDA_FILE.from ? [ALLOWED, ALLOWED_TO_CUDA] : [ALLOWED]);
    glibc = newest(glibc, glibcOf(path));
    say(`${to}: ${(statSync(path).size / 1e6).toFixed(2)} MB`);
  }
  const { torchVersion } = createRequire(import.meta.url)(join(target, 'loader/loader.node'));
  const facts = { torch: torchVersion, glibc, napi: 9 };
  writeFileSync(join(target, 'build.json'), `${JSON.stringify(facts, null, 2)}\n`);
  say(`prebuilds/${process.platform}-${process.arch}: for torch ${torchVersion}, glibc ${glibc}`);
});

function tool(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new StepError(`${command} failed: ${error?.message ?? stderr}`);
  return stdout;
}

/** No path of the build machine may be left in a binary that is shipped. */
function checkLinks(path, allowed) {
  const dynamic = tool('readelf', ['--dynamic', '--wide', path]);
  if (/\((RPATH|RUNPATH)\)/.test(dynamic)) throw new StepError(`${path} has an RPATH`);
  const needed = [...dynamic.matchAll(/\(NEEDED\)[^[]*\[([^\]]+)\]/g)].map(([, name]) => name);
  const foreign = needed.filter((name) => !allowed.some((one) => one.test(name)));
  if (foreign.length > 0) throw new StepError(`${path} needs ${foreign.join(', ')}`);
}

function glibcOf(path) {
  const symbols = tool('objdump', ['-T', path]);
  return [...symbols.matchAll(/GLIBC_(\d+\.\d+)/g)].map(([, v]) => v).reduce(newest, '2.17');
}

function newest(a, b) {
  return Number(a.split('.')[1]) >= Number(b.split('.')[1]) ? a : b;
}
