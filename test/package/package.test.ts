import { execFile, execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLibTorch } from '../../lib/libtorch/find.js';
import { type Outcome, root, runNode, street } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';

const platform = `${process.platform}-${process.arch}`;
const npm = npmProgram();
let folder: string;
let project: string;
let packed: { files: { path: string; size: number }[]; size: number; filename: string };

/** npm's own program, so that a PATH without npm will do. */
function npmProgram(): string {
  const beside = join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js');
  if (existsSync(beside)) return beside;
  const found = execFileSync('npm', ['root', '--global'], { encoding: 'utf8' }).trim();
  return join(found, 'npm/bin/npm-cli.js');
}

async function runNpm(args: string[], cwd: string, env: Record<string, string> = {}) {
  const { stdout } = await promisify(execFile)(process.execPath, [npm, ...args], {
    cwd,
    env: { ...process.env, ...env },
    maxBuffer: 1 << 26,
  });
  return stdout;
}

/** Runs a script in the project that has nothing but the package installed. */
function runScript(name: string, code: string, env: Record<string, string> = {}): Promise<Outcome> {
  writeFileSync(join(project, name), code);
  return runNode([name], { cwd: project, env });
}

beforeAll(async () => {
  if (!existsSync(join(root, 'prebuilds', platform, 'build.json'))) {
    execFileSync(process.execPath, [join(root, 'scripts/prebuild.mjs')]);
  }
  folder = temporaryFolder();
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  [packed] = JSON.parse(await runNpm(args, root)) as [typeof packed];
  project = join(folder, 'project');
  const bin = join(folder, 'bin');
  mkdirSync(project);
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  writeFileSync(join(project, 'package.json'), '{"name": "empty", "private": true}');
  const tarball = join(folder, packed.filename);
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  // No compiler, no cmake, no python: a PATH with node and nothing else.
  await runNpm(['install', ...flags, tarball], project, { PATH: bin });
}, 240_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the tarball', () => {
  it('holds the library, its types, the binaries and the small bundles', () => {
    const paths = packed.files.map(({ path }) => path);
    for (const wanted of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/main.js',
      'dist/doctor-probe.js',
      `prebuilds/${platform}/lexiseg.napi.glibc.node`,
      `prebuilds/${platform}/liblexiseg_ops.so`,
      `prebuilds/${platform}/loader/loader.node`,
      `prebuilds/${platform}/build.json`,
      'models/bundles/demo-fc-clip.pt',
      'models/bundles/demo-gkc.pt',
      'models/bundles/demo-ovseg.pt',
      'models/bundles/demo-pacl.pt',
      'examples/scene.jpg',
      'README.md',
      'LICENSE',
      'THIRD_PARTY.md',
      'CHANGELOG.md',
    ]) {
      expect(paths).toContain(wanted);
    }
  });

  it('holds nothing else, and nothing heavy', () => {
    const known =
      /^(dist\/.+\.(js|d\.ts)|prebuilds\/(README\.md|[a-z0-9]+-[a-z0-9]+\/.+)|models\/bundles\/demo-[^/]+\.(pt|md)|models\/bundles\/demo-[^/]+\/[^/]+\.(html|json)|docs\/[^/]+\.md|docs\/claims\/[^/]+\.(html|json)|models\/vocabularies\/[^/]+\.json|examples\/(recipes\/)?[^/]+|[A-Z_]+(\.md)?|package\.json)$/;
    expect(packed.files.map(({ path }) => path).filter((path) => !known.test(path))).toEqual([]);
    const bundles = packed.files.filter(({ path }) => path.endsWith('.pt'));
    expect(bundles.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(48e6);
    expect(packed.size).toBeLessThan(55e6);
    const sources = packed.files.filter(({ path }) => /(^|\/)(libtorch_|libc10)|\.map$/.test(path));
    expect(sources).toEqual([]);
  });

  it('holds whatever its own pages link to', () => {
    const paths = packed.files.map(({ path }) => path);
    const dead = paths
      .filter((path) => path.endsWith('.md'))
      .flatMap((page) =>
        [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
          .map(([, link]) => posix.join(posix.dirname(page), String(link)))
          .filter((place) => !paths.some((path) => path === place || path.startsWith(`${place}/`)))
          .map((place) => `${page}: ${place}`),
      );
    expect(dead).toEqual([]);
  });

  it('has no script that npm would run at installation, and no binding.gyp', () => {
    const require = createRequire(join(project, 'package.json'));
    const { scripts = {} } = require('lexiseg/package.json');
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
      expect(scripts).not.toHaveProperty(name);
    }
    expect(packed.files.map(({ path }) => path)).not.toContain('binding.gyp');
  });
});

const SEGMENT = `
  const segmenter = await Segmenter.load('demo-fc-clip');
  const result = await segmenter.segment(${JSON.stringify(street)}, ['car', 'sky']);
  console.log(JSON.stringify(result));
  result.dispose();
  await segmenter.dispose();`;

describe('the installed package', () => {
  it('segments after import', async () => {
    const code = `import { Segmenter } from 'lexiseg';${SEGMENT}`;
    const env = { LEXISEG_LIBTORCH: findLibTorch().root };
    const { status, stdout, stderr } = await runScript('import.mjs', code, env);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(JSON.parse(stdout)).toMatchObject({ width: 960, height: 640, task: 'panoptic' });
  });

  it('segments after require', async () => {
    const code = `const { Segmenter } = require('lexiseg');(async () => {${SEGMENT}})();`;
    const env = { LEXISEG_LIBTORCH: findLibTorch().root };
    const { status, stdout, stderr } = await runScript('require.cjs', code, env);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(JSON.parse(stdout)).toMatchObject({ width: 960, height: 640 });
  });

  it('runs the ten lines of README, and the examples that it carries', async () => {
    const [, code = ''] =
      readFileSync(join(root, 'README.md'), 'utf8').match(/```js\n([\s\S]*?)```/) ?? [];
    const lines = code.split('\n').filter((line) => !/^(import\b.*|\}|)$/.test(line));
    expect(lines.length).toBeLessThanOrEqual(10);
    const env = { LEXISEG_LIBTORCH: findLibTorch().root };
    const examples = 'node_modules/lexiseg/examples';
    const shown = await runScript('ten-lines.mjs', code, env);
    const example = await runNode([`${examples}/segment.mjs`], { cwd: project, env });
    const coco = await runNode([`${examples}/coco.mjs`], { cwd: project, env });
    for (const { status, stderr } of [shown, example, coco]) {
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    }
    expect(shown.stdout).toContain('night sky');
    expect(example.stdout).toBe(shown.stdout);
    expect(JSON.parse(coco.stdout).length).toBeGreaterThan(0);
  });

  it('has a command that passes its own doctor', async () => {
    const args = ['node_modules/.bin/lexiseg', 'doctor', '--json'];
    const env = { LEXISEG_LIBTORCH: findLibTorch().root };
    const { stdout } = await runNode(args, { cwd: project, env });
    const diagnosis = JSON.parse(stdout);
    expect(diagnosis.usable).toBe(true);
    expect(diagnosis.stages[0].facts.addon).toContain(`prebuilds/${platform}`);
  });

  it('loads nothing at import, and says how to get LibTorch at the first use', async () => {
    const code = `
      import { readFileSync } from 'node:fs';
      import { Segmenter } from 'lexiseg';
      if (readFileSync('/proc/self/maps', 'utf8').includes('lexiseg.napi')) process.exit(9);
      const bundle = 'node_modules/lexiseg/models/bundles/demo-fc-clip.pt';
      await Segmenter.load(bundle).catch(({ code, message }) => console.log(code, message));`;
    const env = { LEXISEG_LIBTORCH: '', LIBTORCH: '', LEXISEG_CACHE: join(folder, 'none') };
    const { status, stdout } = await runScript('absent.mjs', code, env);
    expect(status).toBe(0);
    expect(stdout).toContain('ERR_LIBTORCH_NOT_FOUND');
    expect(stdout).toContain('npx lexiseg libtorch install');
  });

  it('names the platform and the folders when there is no binary', async () => {
    const prebuilds = join(project, 'node_modules/lexiseg/prebuilds');
    renameSync(join(prebuilds, platform), join(prebuilds, 'elsewhere'));
    try {
      const code = `
        import { Segmenter } from 'lexiseg';
        const bundle = 'node_modules/lexiseg/models/bundles/demo-fc-clip.pt';
        await Segmenter.load(bundle).catch(({ code, message }) => console.log(code, message));`;
      const { stdout } = await runScript('no-binary.mjs', code);
      expect(stdout).toContain(`ERR_NATIVE_NOT_FOUND lexiseg has no addon binary for ${platform}`);
      expect(stdout).toContain(join('prebuilds', platform));
      const doctor = ['node_modules/.bin/lexiseg', 'doctor', '--json'];
      const diagnosis = JSON.parse((await runNode(doctor, { cwd: project })).stdout);
      expect(diagnosis).toMatchObject({ usable: false, remedy: null });
      // Nobody who has the package alone has that script.
      expect(stdout + diagnosis.verdict).not.toContain('npm run setup');
    } finally {
      renameSync(join(prebuilds, 'elsewhere'), join(prebuilds, platform));
    }
  });

  it('has types that a strict project compiles against', async () => {
    writeFileSync(
      join(project, 'consumer.ts'),
      `import { Segmenter, type Segment } from 'lexiseg';
       export async function areas(path: string): Promise<number[]> {
         const segmenter = await Segmenter.load(path, { device: 'cpu' });
         const result = await segmenter.segment('a.jpg', ['cat'], { task: 'instance' });
         // @ts-expect-error a segment has no such field
         result.segments[0]?.colour;
         return result.segments.map((segment: Segment) => segment.area);
       }`,
    );
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node'];
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022'];
    const libs = ['--lib', 'es2023,esnext.disposable'];
    const { status, stdout } = await runNode([tsc, ...flags, ...libs, ...types, 'consumer.ts'], {
      cwd: project,
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});
