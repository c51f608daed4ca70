/**
 * Brings a checkout from nothing to built. Uses Node's own modules only, since it installs the rest.
 *
 *   node scripts/setup.mjs           what the command line and the demo need
 *   node scripts/setup.mjs --tests   also the Python environment of the tests
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { answers, hashOf, main, must, once, root, run, StepError, say } from './steps.mjs';

/** Commands that must answer, with the Debian packages that bring them. */
const TOOLS = [
  { probe: ['cmake'], debian: 'cmake' },
  { probe: ['ninja'], debian: 'ninja-build' },
  { probe: ['g++'], debian: 'g++' },
  { probe: ['python3', ['-c', 'import ensurepip, venv']], debian: 'python3-venv' },
];
/** What only tests need. */
const TEST_TOOLS = [{ probe: ['ffmpeg', ['-version']], debian: 'ffmpeg' }];

/**
 * @param {{tests?: boolean}} options tests: also make `.venv` with torch and the test oracles
 * @returns {Promise<string>} folder of the LibTorch that the build uses
 */
export async function setup({ tests = false } = {}) {
  await installNodeModules();
  await installTools(tests ? [...TOOLS, ...TEST_TOOLS] : TOOLS);
  await buildLibrary();
  const libtorch = await installLibTorch();
  // Neither needs the other, and installing packages leaves a core idle.
  const work = [buildNative(libtorch, tests), ...(tests ? [installPython()] : [])];
  for (const { status, reason } of await Promise.allSettled(work)) {
    if (status === 'rejected') throw reason;
  }
  return libtorch;
}

async function installNodeModules() {
  if (nodeModulesMatchLock()) return;
  say('installing node_modules (npm ci)');
  await must('npm', ['ci', '--no-audit', '--no-fund']);
}

function nodeModulesMatchLock() {
  const wanted = readLock('package-lock.json');
  const present = readLock('node_modules/.package-lock.json');
  return Object.entries(wanted).every(
    ([path, { version, optional, peer }]) =>
      path === '' || present[path]?.version === version || (!present[path] && (optional || peer)),
  );
}

function readLock(name) {
  try {
    return JSON.parse(readFileSync(join(root, name), 'utf8')).packages;
  } catch {
    return {};
  }
}

async function installTools(tools) {
  const missing = tools.filter(({ probe }) => !answers(...probe)).map(({ debian }) => debian);
  if (missing.length === 0) return;
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing];
  const prefix = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const may = answers('apt-get') && (prefix.length === 0 || answers('sudo', ['-n', 'true']));
  if (!may) {
    throw new StepError(
      `these are missing: ${missing.join(', ')}. On Debian or Ubuntu, run:\n  sudo ${install.join(' ')}`,
    );
  }
  say(`installing Debian packages: ${missing.join(', ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const [update, ...updateArgs] = [...prefix, 'apt-get', 'update', '-q'];
  await run(update, updateArgs, { env, quiet: true });
  const [command, ...args] = [...prefix, ...install];
  await must(command, args, { env, quiet: true });
}

async function buildLibrary() {
  await once({
    name: 'library',
    inputs: hashOf(['lib', 'tsconfig.json', 'package-lock.json']),
    outputs: ['dist/loader.js', 'dist/cli/main.js'],
    action: async () => {
      say('compiling TypeScript to dist/');
      await must('npm', ['run', '--silent', 'build:lib']);
    },
  });
}

/** Uses the LibTorch that is set or installed already; else fills the cache. */
async function installLibTorch() {
  const load = (name) => import(pathToFileURL(join(root, 'dist', 'libtorch', name)).href);
  const explicit = process.env.LEXISEG_LIBTORCH || process.env.LIBTORCH;
  if (explicit) {
    const { checkLibTorch } = await load('check.js');
    return checkLibTorch(resolve(root, explicit), null, 'LEXISEG_LIBTORCH').root;
  }
  const { findLibTorch } = await load('find.js');
  try {
    return findLibTorch().root;
  } catch (error) {
    if (error.code !== 'ERR_LIBTORCH_NOT_FOUND') throw error;
  }
  say('installing LibTorch (about 200 MB to fetch, 500 MB on disk)');
  await must(process.execPath, ['dist/cli/main.js', 'libtorch', 'install']);
  return findLibTorch().root;
}

async function installPython() {
  const requirements = 'models/requirements-test.txt';
  await once({
    name: 'python',
    inputs: hashOf([requirements]),
    outputs: ['.venv/bin/pytest', '.venv/bin/ruff', '.venv/bin/clang-format'],
    action: async () => {
      say('making .venv with torch and the test requirements');
      await must('python3', ['-m', 'venv', '--clear', '.venv']);
      const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input'];
      const python = join(root, '.venv', 'bin', 'python');
      // An index that does not answer costs minutes of repeats, so the first round does without.
      if ((await run(python, [...pip, '--retries', '0', '-r', requirements])) !== 0) {
        await must(python, [...pip, '--retries', '4', '-r', requirements]);
      }
    },
  });
  linkModels();
}

/** Makes `lexiseg_models` importable in `.venv` from its sources. */
function linkModels() {
  const python = readFileSync(join(root, '.venv', 'pyvenv.cfg'), 'utf8');
  const minor = python.match(/^version\s*=\s*(\d+\.\d+)/m)?.[1];
  const site = join(root, '.venv', 'lib', `python${minor}`, 'site-packages');
  if (existsSync(site)) writeFileSync(join(site, 'lexiseg.pth'), `${join(root, 'models')}\n`);
}

async function buildNative(libtorch, tests) {
  const sources = ['native', 'CMakeLists.txt', 'package-lock.json'];
  // Another version may have come to the same place.
  const torch = ['build-version', 'version.py']
    .map((name) => join(libtorch, name))
    .map((path) => (existsSync(path) ? readFileSync(path, 'utf8') : ''));
  await once({
    name: tests ? 'native-tests' : 'native',
    inputs: hashOf(tests ? [...sources, 'test/native'] : sources, [libtorch, ...torch].join('\n')),
    outputs: ['build/Release/lexiseg.node', 'build/Release/loader.node'],
    action: async () => {
      say('compiling the addon (a few minutes, once)');
      await must(process.execPath, ['scripts/build-native.mjs', ...(tests ? ['--tests'] : [])], {
        env: { LEXISEG_LIBTORCH: libtorch },
      });
    },
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(async () => {
    const libtorch = await setup({ tests: process.argv.includes('--tests') });
    say(`ready (LibTorch in ${libtorch})`);
  });
}
