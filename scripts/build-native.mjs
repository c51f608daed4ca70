/**
 * Compiles ops, core, addon and loader into build/Release with cmake-js.
 *
 *   node scripts/build-native.mjs           LibTorch: LEXISEG_LIBTORCH, or what lexiseg finds
 *   node scripts/build-native.mjs --tests   also the C++ tests
 *   node scripts/build-native.mjs --cuda    also the kernels for CUDA: nvcc and a CUDA LibTorch
 */
import { rmSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { forget, main, must, root } from './steps.mjs';

/** What compiling one file that includes LibTorch's headers takes at its peak, bytes. */
const MEMORY_PER_COMPILER = 2.5 * 1024 ** 3;

await main(async () => {
  const named = process.env.LEXISEG_LIBTORCH || process.env.LIBTORCH;
  // CMake would take it from the folder that it builds in.
  const libtorch = named ? resolve(root, named) : await found();
  const jobs = Math.max(1, Math.min(availableParallelism(), totalmem() / MEMORY_PER_COMPILER));
  const asked = (flag) => (process.argv.includes(flag) ? 'ON' : 'OFF');
  const options = [
    '--generator',
    'Ninja',
    '--parallel',
    String(Math.floor(jobs)),
    `--CDLEXISEG_LIBTORCH=${libtorch}`,
    `--CDLEXISEG_TESTS=${asked('--tests')}`,
    `--CDLEXISEG_CUDA=${asked('--cuda')}`,
  ];
  // A build alone would keep the options of an earlier configuration.
  if (!process.argv.includes('--cuda')) {
    rmSync(join(root, 'build', 'Release', 'liblexiseg_ops_cuda.so'), { force: true });
  }
  // Whoever relied on an earlier build must look again.
  forget('native', 'native-tests');
  for (const step of ['configure', 'build']) await must('npx', ['cmake-js', step, ...options]);
});

async function found() {
  const module = pathToFileURL(join(root, 'dist', 'libtorch', 'find.js')).href;
  return (await import(module)).findLibTorch().root;
}
