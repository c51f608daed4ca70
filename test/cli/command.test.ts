import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TINY_DENSE_BUNDLE } from '../e2e/bundle-file.js';
import { bundle, lexiseg, main, street } from './command.js';
import { libtorchFiles, temporaryFolder, writeFiles } from './places.js';

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const words = ['--bundle', bundle, '--classes', 'car|taxi, person, tree, sky'];

describe('lexiseg', () => {
  it('has help with an example on every command', async () => {
    const commands = [
      'segment',
      'heatmap',
      'classify',
      'mine',
      'synonyms',
      'inspect',
      'bench',
      'doctor',
    ].map((name) => [name]);
    const libtorch = ['install', 'path', 'list', 'remove'].map((name) => ['libtorch', name]);
    for (const command of [[], ...commands, ...libtorch]) {
      const { status, stdout } = await lexiseg([...command, '--help']);
      expect(status).toBe(0);
      expect(stdout).toMatch(/Examples?:\n\s+(export LIBTORCH="\$\()?lexiseg /);
    }
  });

  it('ends with status 2 and a hint when it is written wrongly', async () => {
    const wrong: [string[], RegExp][] = [
      [['segmnt', street], /Did you mean segment/],
      [['segment'], /missing required argument/],
      [['segment', street, ...words, '--taks', 'semantic'], /--task/],
      [['segment', street, ...words, '--task', 'panoptik'], /semantic, panoptic, instance/],
      [['segment', street, '--bundle', bundle], /--classes/],
      [['segment', street, ...words, '--size', '0x10'], /./],
      [['segment', street, ...words, '--device', 'gpu'], /cuda/],
      [['libtorch', 'install', '--flavour', 'rocm'], /cpu, cu130/],
      [['libtorch', 'install', '--sha256', 'abc'], /64/],
    ];
    for (const [args, hint] of wrong) {
      const { status, stderr } = await lexiseg(args);
      expect({ args, status }).toEqual({ args, status: 2 });
      expect(stderr).toMatch(hint);
    }
  });

  it('is content when nobody reads on', async () => {
    const { execFileSync } = await import('node:child_process');
    const command = `"${process.execPath}" "${main}" inspect "${bundle}" | true; echo "$\{PIPESTATUS[0]}"`;
    const status = execFileSync('bash', ['-c', command], { encoding: 'utf8' });
    expect(status.trim()).toBe('0');
  });

  it('does all of its work though nobody reads on', async () => {
    const images = ['a.jpg', 'b.jpg', 'c.jpg'].map((name) => join(folder, name));
    for (const image of images) copyFileSync(street, image);
    const out = join(folder, 'out');
    const args = [main, 'segment', ...images, ...words, '--write', 'json', '--out', out, '--json'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.once('data', () => child.stdout.destroy());
    const [status] = await once(child, 'close');
    expect(status).toBe(0);
    expect(readdirSync(out).filter((name) => name.endsWith('.json'))).toHaveLength(3);
  });

  it('ends with status 1 and a code when a file is no bundle', async () => {
    const fake = join(folder, 'fake.pt');
    writeFileSync(fake, 'nothing');
    for (const path of [fake, join(folder, 'none.pt')]) {
      const { status, stderr } = await lexiseg(['inspect', path]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/\[ERR_BUNDLE_READ\]/);
    }
  });

  it('ends with status 3 and the command to run when LibTorch is missing', async () => {
    const env = { LEXISEG_LIBTORCH: '', LIBTORCH: '', LEXISEG_CACHE: folder, LEXISEG_PYTHON: '' };
    const { status, stderr } = await lexiseg(['inspect', bundle], { env });
    expect(status).toBe(3);
    expect(stderr).toContain('npx lexiseg libtorch install');
    expect(stderr).toContain(folder);
  });
});

describe('lexiseg segment', () => {
  it('prints a table of segments and says that the weights are random', async () => {
    const { status, stdout, stderr } = await lexiseg(['segment', street, ...words]);
    expect(stderr).toContain('RANDOM weights');
    expect(status).toBe(0);
    expect(stdout).toContain('960×640, panoptic');
    expect(stdout).toContain('(random weights)');
    expect(stdout).toMatch(/class\s+kind\s+score\s+area/);
  });

  it('prints one line of JSON for each image', async () => {
    const copy = join(folder, 'copy.jpg');
    copyFileSync(street, copy);
    const { status, stdout } = await lexiseg(['segment', street, copy, ...words, '--json']);
    expect(status).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ image }) => image)).toEqual([street, copy]);
    expect(lines[0]).toMatchObject({ width: 960, height: 640, task: 'panoptic', files: [] });
    expect(lines[0].bundle.weights).toBe('random');
    expect(lines[0].segments).toEqual(lines[1].segments);
  });

  it('writes every kind of file into the folder asked for, and only there', async () => {
    const out = join(folder, 'out');
    const kinds = ['--out', out, '--write', 'json,labels,coco,geojson', '--overlay'];
    const { status } = await lexiseg(['segment', street, ...words, ...kinds], { cwd: folder });
    expect(status).toBe(0);
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readdirSync(out).sort()).toEqual([
      'street.coco.json',
      'street.geojson',
      'street.json',
      'street.labels.png',
      'street.overlay.png',
      'street.panoptic.png',
    ]);
    const overlay = await sharp(join(out, 'street.overlay.png')).metadata();
    expect(overlay.width).toBeGreaterThanOrEqual(960);
    const labels = await sharp(join(out, 'street.labels.png')).metadata();
    expect([labels.width, labels.height]).toEqual([960, 640]);
    const coco = JSON.parse(readFileSync(join(out, 'street.coco.json'), 'utf8'));
    expect(coco.annotations[0].file_name).toBe('street.panoptic.png');
  });

  it('tells images apart in COCO files, by number where the name is one', async () => {
    const images = ['000000000139.jpg', 'photo.jpg'].map((name) => join(folder, name));
    for (const image of images) copyFileSync(street, image);
    const ids: unknown[] = [];
    for (const task of ['panoptic', 'instance']) {
      const out = join(folder, task);
      const flags = ['--task', task, '--out', out, '--write', 'coco', '--size', '120x80'];
      expect((await lexiseg(['segment', ...images, ...words, ...flags])).status).toBe(0);
      for (const stem of ['000000000139', 'photo']) {
        const coco = JSON.parse(readFileSync(join(out, `${stem}.coco.json`), 'utf8'));
        const entries: { image_id: unknown }[] = coco.annotations ?? coco;
        ids.push(...new Set(entries.map(({ image_id }) => image_id)));
      }
    }
    expect(ids).toEqual([139, 'photo', 139, 'photo']);
  });

  it('does not write over an image that it has still to read', async () => {
    const first = join(folder, 'photo.jpg');
    const second = join(folder, 'photo.labels.png');
    copyFileSync(street, first);
    await sharp(street).png().toFile(second);
    const before = readFileSync(second);
    const flags = ['--task', 'semantic', '--out', folder, '--write', 'labels'];
    const { status, stderr } = await lexiseg(['segment', first, second, ...words, ...flags]);
    expect(status).toBe(1);
    expect(stderr).toContain('[ERR_OUTPUT]');
    expect(readFileSync(second).equals(before)).toBe(true);
  });

  it('runs the other tasks at the size asked for', async () => {
    for (const task of ['semantic', 'instance']) {
      const flags = ['--task', task, '--size', '120x80', '--json', '--top-k', '4'];
      const { status, stdout } = await lexiseg(['segment', street, ...words, ...flags]);
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ task, width: 120, height: 80 });
    }
  });

  it('goes on after an image that cannot be read, and ends with status 1', async () => {
    const broken = join(folder, 'broken.jpg');
    writeFileSync(broken, readFileSync(street).subarray(0, 300));
    const images = [broken, join(folder, 'none.jpg'), street];
    const { status, stdout, stderr } = await lexiseg(['segment', ...images, ...words, '--json']);
    expect(status).toBe(1);
    expect(stderr.match(/\[ERR_IMAGE_READ\]/g)).toHaveLength(2);
    expect(JSON.parse(stdout)).toMatchObject({ image: street });
  });

  it('ends with status 130 at Ctrl-C and leaves no result behind', async () => {
    const images = Array.from({ length: 200 }, () => street);
    const { status, stdout, stderr } = await lexiseg(['segment', ...images, ...words], {
      onStderr: (text, kill) => {
        if (text.includes('segmenting') && !text.includes('stopping')) kill('SIGINT');
      },
    });
    expect(stderr).toContain('stopping');
    expect(status).toBe(130);
    expect(stdout.match(/segments,/g)?.length ?? 0).toBeLessThan(200);
  });
});

describe('lexiseg inspect and bench', () => {
  it('tells what a bundle is, for people and as JSON', async () => {
    const { status, stdout } = await lexiseg(['inspect', bundle, '--verify']);
    expect(stdout).toMatch(/can also +follow things in videos/);
    expect(status).toBe(0);
    expect(stdout).toContain('tiny-fc-clip.pt (random weights)');
    expect(stdout).toContain('the weights are those of the manifest');
    expect(stdout).toMatch(/trained groups +decoder\n/);
    expect(stdout).toMatch(/frozen groups +image_tower ×0\.1, text_encoder ×0\.1\n/);
    const { stdout: json } = await lexiseg(['inspect', bundle, '--json']);
    expect(JSON.parse(json)).toMatchObject({ formatVersion: 1, weights: { kind: 'random' } });
    expect(stdout).not.toMatch(/stride/);
  });

  it('tells how many tokens a finer grid takes, beside the plain one', async () => {
    const { stdout } = await lexiseg(['inspect', TINY_DENSE_BUNDLE]);
    expect(stdout).toMatch(/^grid +stride 4: 15 × 15 = 225 tokens, for 64 × 64 pixels$/m);
    expect(stdout).toMatch(/^plain grid +stride 8: 8 × 8 = 64 tokens$/m);
  });

  it('knows the bundles that come with the package by name', async () => {
    const { status, stdout } = await lexiseg(['inspect', 'demo-fc-clip'], { cwd: folder });
    expect(status).toBe(0);
    expect(stdout).toMatch(/weights +trained/);
    const unknown = await lexiseg(['inspect', 'demo-fc-clap']);
    expect(unknown.status).toBe(1);
    expect(unknown.stderr).toMatch(/shipped: demo-fc-clip, .*\[ERR_BUNDLE_READ\]/);
  });

  it.each([
    ['tiny-fc-clip', 'transformer_decoder'],
    ['tiny-ovseg', 'proposals'],
    ['tiny-pacl', 'dense_segmentation'],
  ])('times the stages of %s', async (name, stage) => {
    const classes = ['--classes', 'cat, sofa'];
    const args = ['bench', street, '--bundle', name, ...classes, '--repeat', '2', '--json'];
    const { status, stdout } = await lexiseg(args);
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    const names = report.stages.map((one: { stage: string }) => one.stage);
    expect(names).toEqual(expect.arrayContaining(['decode', stage]));
    for (const { milliseconds } of report.stages) expect(milliseconds).toBeGreaterThanOrEqual(0);
    expect(report.medianMilliseconds).toBeGreaterThan(0);
  });
});

describe('lexiseg doctor', () => {
  it('finds a working installation usable', async () => {
    const { status, stdout } = await lexiseg(['doctor', '--json']);
    const diagnosis = JSON.parse(stdout);
    expect(diagnosis).toMatchObject({ usable: true, remedy: null });
    expect(diagnosis.stages.map(({ stage }: { stage: string }) => stage)).toEqual([
      'binaries',
      'libtorch',
      'addon',
      'self-test',
    ]);
    expect(status).toBe(0);
  });

  it('names what is wrong and what to do, with status 3', async () => {
    const nothing = { LEXISEG_LIBTORCH: '', LIBTORCH: '', LEXISEG_CACHE: folder };
    const missing = await lexiseg(['doctor'], { env: nothing });
    expect(missing.status).toBe(3);
    expect(missing.stdout).toContain('npx lexiseg libtorch install');
    const broken = writeFiles(join(folder, 'broken'), libtorchFiles());
    const { status, stdout } = await lexiseg(['doctor', '--json'], {
      env: { LEXISEG_LIBTORCH: broken },
    });
    expect(status).toBe(3);
    const [last] = JSON.parse(stdout).stages.slice(-1);
    expect(last).toMatchObject({ stage: 'addon', error: { code: 'ERR_LIBTORCH_LOAD' } });
  });

  it('tells to unset the variable that names a wrong LibTorch, since no installation could win', async () => {
    const old = writeFiles(join(folder, 'old'), libtorchFiles({ version: '2.12.1+cpu' }));
    const half = writeFiles(join(folder, 'half'), libtorchFiles({ without: 'libc10.so' }));
    const nameless = writeFiles(join(folder, 'nameless'), { 'lib/libc10.so': '' });
    const wrong = [
      ['ERR_LIBTORCH_VERSION', { LEXISEG_LIBTORCH: old }],
      ['ERR_LIBTORCH_INCOMPLETE', { LEXISEG_LIBTORCH: '', LIBTORCH: half }],
      ['ERR_LIBTORCH_PATH', { LEXISEG_LIBTORCH: nameless, LIBTORCH: half }],
    ] as const;
    for (const [code, env] of wrong) {
      const { stdout } = await lexiseg(['doctor', '--json'], { env });
      const { remedy, stages } = JSON.parse(stdout);
      expect(stages.at(-1)).toMatchObject({ stage: 'libtorch', error: { code } });
      const source = env.LEXISEG_LIBTORCH === '' ? 'LIBTORCH' : 'LEXISEG_LIBTORCH';
      expect(remedy).toBe(`unset ${source}`);
    }
  });
});

describe('lexiseg libtorch', () => {
  it('installs from a folder, lists, finds and removes', async () => {
    const from = writeFiles(join(folder, 'mine'), libtorchFiles());
    const env = { LEXISEG_CACHE: join(folder, 'cache'), LEXISEG_LIBTORCH: '', LIBTORCH: '' };
    const installed = await lexiseg(['libtorch', 'install', '--from', from], { env });
    expect(installed.stdout).toMatch(/LibTorch 2\.13\.0\+cpu installed in /);
    const { stdout: path } = await lexiseg(['libtorch', 'path'], { env });
    expect(existsSync(join(path.trim(), 'lib', 'libtorch_cpu.so'))).toBe(true);
    const { stdout: list } = await lexiseg(['libtorch', 'list', '--json'], { env });
    const [entry] = JSON.parse(list).entries;
    const name = entry.folder.split('/').pop();
    expect((await lexiseg(['libtorch', 'remove', 'nothing'], { env })).status).toBe(2);
    expect((await lexiseg(['libtorch', 'remove', name], { env })).status).toBe(0);
    expect((await lexiseg(['libtorch', 'path'], { env })).status).toBe(3);
  });
});
