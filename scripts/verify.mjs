/**
 * The test command: sets everything up, runs every check and every test, and ends with their sum.
 *
 *   npm test                     everything
 *   npm test -- vitest pytest    only the steps named (see STEPS)
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setup } from './setup.mjs';
import { root, run, StepError, say } from './steps.mjs';

const reports = join(root, 'out', 'verify');
const bin = join(root, '.venv', 'bin');

/**
 * A step passes or fails as one, unless `count` reads how many tests its runner ran. One that is
 * `beside` runs together with those after it, which leave a core idle, and shows what it said
 * afterwards; one that is `alone` uses all cores itself and waits for them.
 */
const STEPS = [
  {
    name: 'sanitize',
    beside: true,
    run: async (libtorch) => {
      // One compiler: with two, pytest beside them takes longer than they win.
      const env = { LEXISEG_LIBTORCH: libtorch, LEXISEG_JOBS: '1' };
      const log = report('sanitize.log');
      const status = await run('bash', ['scripts/sanitize.sh', '--short'], { env, log });
      const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
      say(`sanitize:\n${lines.slice(status === 0 ? -1 : -200).join('\n')}`);
      return status;
    },
  },
  { name: 'biome', run: () => run('npm', ['run', '--silent', 'lint', '--', '--colors=off']) },
  { name: 'clang-format', run: clangFormat },
  { name: 'ruff', run: ruff },
  { name: 'types', run: () => run('npx', ['tsc', '-p', 'tsconfig.test.json']) },
  {
    name: 'ctest',
    run: () =>
      run('ctest', [
        '--test-dir',
        'build',
        '--output-on-failure',
        '--output-junit',
        report('ctest.xml'),
      ]),
    count: () => countJunit('ctest.xml'),
  },
  {
    name: 'pytest',
    run: (libtorch) =>
      run(
        join(bin, 'python'),
        [
          '-m',
          'pytest',
          '-q',
          '-rs',
          '--durations=5',
          'test',
          `--junitxml=${report('pytest.xml')}`,
        ],
        {
          env: { LEXISEG_LIBTORCH: libtorch },
        },
      ),
    count: () => countJunit('pytest.xml'),
  },
  { name: 'prebuild', run: () => run(process.execPath, ['scripts/prebuild.mjs']) },
  {
    name: 'node24',
    // What Node's own releases have broken before; `npm run test:node24` runs more.
    run: (libtorch) =>
      run(
        process.execPath,
        ['scripts/test-node24.mjs', 'test/addon', 'test/e2e/lifetime.test.ts'],
        {
          env: { LEXISEG_LIBTORCH: libtorch },
        },
      ),
  },
  {
    name: 'vitest',
    alone: true,
    run: () =>
      run('npx', [
        'vitest',
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report('vitest.json')}`,
      ]),
    count: countVitest,
  },
];

function report(name) {
  return join(reports, name);
}

/** Tracked files that match the patterns. */
function sources(patterns) {
  const listed = spawnSync('git', ['ls-files', '--', ...patterns], { cwd: root, encoding: 'utf8' });
  return listed.stdout.split('\n').filter((path) => path !== '' && existsSync(join(root, path)));
}

function clangFormat() {
  const files = sources(['*.h', '*.cpp', '*.cu', '*.cuh']);
  // Without a file it would look at its standard input, and be content.
  if (files.length === 0) return 1;
  return run(join(bin, 'clang-format'), ['--dry-run', '-Werror', '--ferror-limit=3', ...files]);
}

async function ruff() {
  const check = await run(join(bin, 'ruff'), ['check', '--output-format=concise', '.']);
  const unformatted = ['format', '--check', '--output-format=concise', '.'];
  return check || run(join(bin, 'ruff'), unformatted);
}

/** Sums over the test suites of a JUnit file, as pytest and ctest write it. */
function countJunit(name) {
  const text = readFileSync(report(name), 'utf8');
  const sum = (attribute) =>
    [...text.matchAll(/<testsuite\s[^>]*>/g)].reduce(
      (total, [tag]) => total + Number(tag.match(new RegExp(`\\s${attribute}="(\\d+)"`))?.[1] ?? 0),
      0,
    );
  const failed = sum('failures') + sum('errors');
  const skipped = sum('skipped') + sum('disabled');
  return { passed: sum('tests') - failed - skipped, failed, skipped };
}

function countVitest() {
  const result = JSON.parse(readFileSync(report('vitest.json'), 'utf8'));
  // A file that does not load has no test to fail, yet it must count.
  const broken = result.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length;
  return {
    passed: result.numPassedTests,
    failed: result.numFailedTests + broken,
    skipped: result.numPendingTests + result.numTodoTests,
  };
}

/** Runs one step; a runner that fails without a failed test counts as one failure. */
async function perform({ name, run: action, count }, libtorch) {
  say(`── ${name}`);
  const began = Date.now();
  const status = await action(libtorch);
  let result = { passed: 1, failed: 0, skipped: 0 };
  if (count) {
    try {
      result = count();
    } catch (error) {
      say(`${name}: its report was not read: ${error.message}`);
      result = { passed: 0, failed: 0, skipped: 0 };
    }
  }
  if (status !== 0 && result.failed === 0) {
    result = { ...result, passed: count ? result.passed : 0, failed: 1 };
  }
  if (count && result.passed + result.failed === 0) result.failed = 1;
  return { name, ...result, seconds: (Date.now() - began) / 1000 };
}

function chosenSteps() {
  const names = process.argv.slice(2);
  const unknown = names.filter((name) => !STEPS.some((step) => step.name === name));
  if (unknown.length > 0) {
    const known = STEPS.map(({ name }) => name).join(', ');
    throw new StepError(`no step named ${unknown.join(', ')}; known: ${known}`);
  }
  return names.length === 0 ? STEPS : STEPS.filter(({ name }) => names.includes(name));
}

const results = [];
try {
  const steps = chosenSteps();
  if (existsSync(reports)) rmSync(reports, { recursive: true });
  mkdirSync(reports, { recursive: true });
  const began = Date.now();
  const libtorch = await setup({ tests: true });
  say(`set-up took ${((Date.now() - began) / 1000).toFixed(0)} s`);
  const running = [];
  for (const step of steps) {
    if (step.alone) await Promise.all(running);
    running.push(perform(step, libtorch));
    if (!step.beside) await running.at(-1);
  }
  results.push(...(await Promise.all(running)));
} catch (error) {
  console.error(error instanceof StepError ? `[lexiseg] ${error.message}` : error);
  results.push({ name: 'set-up', passed: 0, failed: 1, skipped: 0, seconds: 0 });
}

const sum = (key) => results.reduce((total, result) => total + result[key], 0);
for (const { name, passed, failed, skipped, seconds } of results) {
  const verdict = failed > 0 ? 'FAILED' : 'ok';
  say(
    `${verdict.padEnd(6)} ${name.padEnd(13)} ${String(passed).padStart(5)} passed ` +
      `${String(failed).padStart(4)} failed ${String(skipped).padStart(4)} skipped ` +
      `${seconds.toFixed(1).padStart(7)} s`,
  );
}
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') > 0 ? 1 : 0;
