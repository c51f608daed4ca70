import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../lib/errors.js';
import * as library from '../../lib/index.js';
import { parseBundleExport } from '../../lib/training/bundle-export.js';
import { parseOptimizer } from '../../lib/training/optimizer.js';
import { parseRunOptions } from '../../lib/training/run-options.js';
import { learningRateSchedule } from '../../lib/training/schedule.js';
import { parseTrainerOptions } from '../../lib/training/trainer-options.js';
import { root, runNode } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';

const read = (name: string): string => readFileSync(join(root, name), 'utf8');

describe('README', () => {
  it('opens with the demo and the test command, which package.json has', () => {
    const { scripts } = JSON.parse(read('package.json'));
    expect(read('README.md').slice(0, 200)).toMatch(/npm run demo[\s\S]*npm test/);
    expect(scripts).toHaveProperty('demo');
    expect(scripts).toHaveProperty('test');
  });

  it('lists every error code with the meaning that the table gives it', () => {
    const text = read('README.md');
    for (const [code, meaning] of Object.entries(ERROR_CODES)) {
      expect(text).toContain(`| \`${code}\` | ${meaning} |`);
    }
  });

  it('or a page of docs, or an example, names every function that the package exports', () => {
    const folders = { docs: /\.md$/, examples: /\.mjs$/ };
    const pages = Object.entries(folders).flatMap(([folder, ending]) =>
      readdirSync(join(root, folder))
        .filter((name) => ending.test(name))
        .map((name) => join(folder, name)),
    );
    const words = new Set(['README.md', ...pages].flatMap((page) => read(page).match(/\w+/g)));
    const functions = Object.entries(library)
      .filter(([, value]) => typeof value === 'function' && !/^class\b/.test(String(value)))
      .map(([name]) => name);
    expect(functions).toContain('evaluate');
    expect(functions.filter((name) => !words.has(name))).toEqual([]);
  });

  it('links to files that exist', () => {
    const pages = readdirSync(join(root, 'docs')).map((name) => `docs/${name}`);
    const top = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'THIRD_PARTY.md'];
    for (const name of [...top, ...pages.filter((page) => page.endsWith('.md'))]) {
      const links = [...read(name).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path);
      for (const path of links) {
        const parent = join(root, name, '..', String(path), '..');
        expect(readdirSync(parent)).toContain(String(path).split('/').filter(Boolean).pop());
      }
    }
  });
});

describe('THIRD_PARTY.md', () => {
  it('names every paper that the code cites', () => {
    const folders = ['lib', 'native', 'models', 'tools'];
    const sources = folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(ts|mjs|py|h|cpp|cu|json)$/.test(name))
        .map((name) => `${folder}/${name}`),
    );
    const cited = sources.flatMap((name) => {
      const citations = read(name).match(/arXiv[\s*/#]+\d{4}\.\d{5}(, \d{4}\.\d{5})*/g) ?? [];
      return citations.flatMap((citation) => citation.match(/\d{4}\.\d{5}/g) ?? []);
    });
    expect(new Set(cited).size).toBeGreaterThan(10);
    const text = read('THIRD_PARTY.md');
    expect([...new Set(cited)].filter((paper) => !text.includes(paper))).toEqual([]);
  });
});

describe('docs/training.md', () => {
  /** The options that a check knows, from how it refuses another. */
  const known = (check: (options: never) => unknown): string[] => {
    try {
      check({ 'no such option at all': 1 } as never);
    } catch (error) {
      const [, names] = /; known: (.*)$/.exec((error as Error).message) ?? [];
      return (names ?? '').split(', ').filter((name) => name !== 'signal');
    }
    return [];
  };

  it.each([
    ['trainer.run', parseRunOptions],
    ['its schedule', (options: never) => learningRateSchedule(options, 1)],
    ['Trainer.open', parseTrainerOptions],
    ['its optimizer', parseOptimizer],
    ['exportBundle', parseBundleExport],
  ])('names every option of %s', (_, check) => {
    const names = known(check);
    expect(names.length).toBeGreaterThan(3);
    const rows = read('docs/training.md')
      .match(/^\| `.*$/gm)
      ?.join('\n');
    expect(names.filter((name) => !rows?.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('the package file', () => {
  it('names every dependency in THIRD_PARTY.md', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json'));
    const text = read('THIRD_PARTY.md');
    const names = Object.keys({ ...dependencies, ...devDependencies });
    expect(names.filter((name) => !text.includes(name.replace(/^@types\/.*/, '@types/')))).toEqual(
      [],
    );
  });

  it('has exact versions and no command called build, before which npm would run prebuild', () => {
    const { dependencies, devDependencies, scripts } = JSON.parse(read('package.json'));
    for (const version of Object.values({ ...dependencies, ...devDependencies })) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    }
    expect(scripts).not.toHaveProperty('build');
  });
});

describe('examples', () => {
  let folder: string;
  beforeAll(() => {
    folder = temporaryFolder();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('run as they stand', async () => {
    for (const name of ['stages.mjs', 'coco.mjs']) {
      const { status, stdout, stderr } = await runNode([join('examples', name)]);
      expect({ name, status, stderr }).toMatchObject({ name, status: 0 });
      expect(stdout.length).toBeGreaterThan(10);
    }
    const segment = join(root, 'examples/segment.mjs');
    const { status, stdout } = await runNode([segment], { cwd: folder });
    expect(status).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['overlay.png', 'result.json']);
    const result = JSON.parse(readFileSync(join(folder, 'result.json'), 'utf8'));
    expect(Object.keys(result)).toEqual([
      'task',
      'width',
      'height',
      'bundle',
      'classes',
      'segments',
    ]);
    expect(result.segments).toHaveLength(stdout.trim().split('\n').length);
  });

  it('follow things, as docs/video.md says', async () => {
    const { status, stdout } = await runNode(['examples/video.mjs']);
    expect(status).toBe(0);
    expect(stdout.trim().split('\n')).toHaveLength(6);
    expect(read('docs/video.md')).toContain('../examples/video.mjs');
  });

  it('train and score, as docs/training.md and docs/evaluation.md say', async () => {
    const scenes = join(folder, 'scenes');
    const drawn = await runNode(['tools/scenes/main.mjs', 'scenes', scenes, '--count', '3']);
    expect(drawn.status).toBe(0);
    const bundle = join(root, 'models/bundles/tiny-fc-clip.pt');
    const run = join(folder, 'run');
    const trained = await runNode(['examples/train.mjs', bundle, scenes, run]);
    expect(trained).toMatchObject({ status: 0, stderr: '' });
    expect(trained.stdout).toMatch(/^6 /m);
    const loop = await runNode(['examples/train-loop.mjs', bundle]);
    expect(loop.stdout.trim().split('\n')).toHaveLength(3);
    const page = join(folder, 'report.html');
    const model = join(run, 'trained.pt');
    const scored = await runNode(['examples/evaluate.mjs', model, scenes, page]);
    expect(scored).toMatchObject({ status: 0 });
    expect(scored.stdout).toMatch(/PQ with names alone/);
    expect(readFileSync(page, 'utf8')).toContain('data:image/jpeg');
    expect(read('docs/training.md')).toContain('../examples/train-loop.mjs');
  });
});
