/** `lexiseg train`, `data`, `eval` and `launch` as a user would run them. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brailleCurve, formatDuration } from '../../lib/cli/dashboard.js';
import { Trainer, type TrainingEvent } from '../../lib/index.js';
import { bundle, lexiseg } from './command.js';
import { drawScenes } from './drawn-scenes.js';
import { temporaryFolder } from './places.js';

let folder: string;
let scenes: string;
beforeAll(async () => {
  folder = temporaryFolder();
  scenes = join(folder, 'scenes');
  await drawScenes(scenes, 4, 2);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RUN = { steps: 2, learningRate: 1e-4 };
const evaluation = (change: object = {}) => ({
  dataset: 'coco-panoptic',
  folder: 'scenes',
  limit: 1,
  ...change,
});

function writeConfig(name: string, change: object = {}): string {
  const path = join(folder, name);
  const config = {
    bundle,
    data: {
      dataset: 'coco-panoptic',
      folder: 'scenes',
      batchSize: 2,
      imageSize: { width: 64, height: 64 },
    },
    trainer: { threads: 1 },
    run: RUN,
    evaluate: evaluation(),
    ...change,
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** How often a run was evaluated, and the step of its best evaluation. */
function bestOf(out: string): { evaluations: number; best: number | undefined } {
  const lines = readFileSync(join(out, 'events.jsonl'), 'utf8').trim().split('\n');
  const evaluations = lines
    .map((line) => JSON.parse(line) as TrainingEvent)
    .filter((event) => event.type === 'evaluation');
  const best = evaluations.findLast((event) => event.type === 'evaluation' && event.best)?.step;
  return { evaluations: evaluations.length, best };
}

describe('lexiseg train', () => {
  it('has help with an example, like its neighbours', async () => {
    for (const command of [['train'], ['launch'], ['eval'], ['data', 'check']]) {
      const { status, stdout } = await lexiseg([...command, '--help']);
      expect(status).toBe(0);
      expect(stdout).toMatch(/Examples:\n\s+lexiseg /);
    }
  });

  it('tells events as JSON lines, and writes report, log and bundle', async () => {
    const out = join(folder, 'run');
    const { status, stdout, stderr } = await lexiseg(['train', writeConfig('a.json'), '-o', out]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.map(({ type }) => type)).toEqual([
      'start',
      'step',
      'step',
      'evaluation',
      'checkpoint',
      'end',
    ]);
    expect(events[3].metrics).toHaveProperty('pq all');
    for (const name of ['events.jsonl', 'report.html', 'trained.pt', 'tensorboard']) {
      expect(existsSync(join(out, name))).toBe(true);
    }
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('<svg');
    const inspected = await lexiseg(['inspect', join(out, 'trained.pt')]);
    expect(inspected.stdout).toMatch(/trained from tiny-fc-clip\.pt/);
  });

  it('writes the bundle of the best evaluation beside that of the last step', async () => {
    const out = join(folder, 'best');
    const run = { ...RUN, evaluateEvery: 1 };
    const config = writeConfig('best.json', { run });
    const { status, stderr } = await lexiseg(['train', config, '-o', out]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const { evaluations, best } = bestOf(out);
    expect(evaluations).toBe(2);
    expect(stderr).toContain(`best.pt, step ${best}\n`);
    const manifestOf = async (name: string) => {
      const { stdout } = await lexiseg(['inspect', join(out, name), '--verify', '--json']);
      return JSON.parse(stdout);
    };
    const [last, kept] = [await manifestOf('trained.pt'), await manifestOf('best.pt')];
    // Nobody is right by random weights, so that no evaluation is better than the first.
    expect(best).toBe(1);
    expect(kept.weights.sha256).not.toBe(last.weights.sha256);
    await using trainer = await Trainer.open(bundle, { threads: 1 });
    await trainer.restore(join(out, 'best.ckpt'));
    expect(trainer.stepCount).toBe(1);
    await trainer.exportBundle(join(folder, 'again.pt'));
    const again = await lexiseg(['inspect', join(folder, 'again.pt'), '--json']);
    expect(JSON.parse(again.stdout).weights.sha256).toBe(kept.weights.sha256);
  });

  it('refuses another run in the same folder, and says what differs', async () => {
    const out = join(folder, 'run');
    const config = writeConfig('a.json');
    const { status, stderr } = await lexiseg(['train', config, '-o', out, '--steps', '3']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/holds another run: steps differ.*ERR_CHECKPOINT/);
  });

  it('says what is wrong with the file', async () => {
    const out = join(folder, 'wrong');
    const broken = join(folder, 'broken.json');
    writeFileSync(broken, '{ "bundle": ');
    const cases: [string, RegExp][] = [
      [join(folder, 'none.json'), /Cannot read/],
      [broken, /is not JSON/],
      [writeConfig('b.json', { rum: 1 }), /Unknown option "rum".*did you mean "run"/],
      [writeConfig('c.json', { data: { folder: 'scenes' } }), /neither "captions" nor "dataset"/],
      [writeConfig('d.json', { run: { steps: 0, learningRate: 1 } }), /run\.steps/],
      [writeConfig('e.json', { evaluate: evaluation({ limits: 5 }) }), /did you mean "limit"/],
      [writeConfig('f.json', { evaluate: evaluation({ limit: 0 }) }), /evaluate\.limit/],
      [writeConfig('g.json', { evaluate: evaluation({ dataset: 'coco' }) }), /evaluate\.dataset/],
      [writeConfig('h.json', { evaluate: 'scenes' }), /no object "evaluate"/],
      [writeConfig('i.json', { export: { dtpye: 'bfloat16' } }), /did you mean "dtype"/],
      [writeConfig('j.json', { export: { dtype: 'int8' } }), /export\.dtype/],
      [writeConfig('k.json', { run: { ...RUN, evaluate: {} } }), /"evaluate" is no part of "run"/],
      [writeConfig('l.json', { run: { ...RUN, watch: 'pq' } }), /one of "pq all", .*run\.watch/],
    ];
    for (const [path, hint] of cases) {
      const { status, stderr } = await lexiseg(['train', path, '-o', out]);
      expect({ path, status }).toEqual({ path, status: 2 });
      expect(stderr).toMatch(hint);
    }
    expect(existsSync(join(out, 'events.jsonl'))).toBe(false);
  });

  it('finds before the first step that it cannot be evaluated', async () => {
    const out = join(folder, 'blind');
    const cases: [object, RegExp][] = [
      [evaluation({ folder: 'nowhere' }), /nowhere.*ERR_DATA/],
      [evaluation({ dataset: 'coco-instance' }), /no instance annotations.*ERR_DATA/],
    ];
    for (const [evaluate, hint] of cases) {
      const config = writeConfig('blind.json', { evaluate });
      const { status, stdout, stderr } = await lexiseg(['train', config, '-o', out]);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(hint);
    }
  });
});

describe('lexiseg eval', () => {
  it('prints a table, and writes a report with pictures', async () => {
    const out = join(folder, 'report');
    const data = ['--dataset', 'coco-panoptic', '--data', scenes];
    const { status, stdout, stderr } = await lexiseg([
      'eval',
      bundle,
      ...data,
      '--names',
      'both',
      '--boundary',
      '--limit',
      '2',
      '--out',
      out,
    ]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/seen\s+\d+/);
    const head = stdout.split('\n').find((line) => line.startsWith('classes'));
    for (const column of ['boundary PQ', 'fwIoU', 'AP50', 'boundary AP']) {
      expect(head).toContain(column);
    }
    expect(stdout).toMatch(/harmonic mean of seen and unseen\s+PQ \S+, mIoU \S+, AP \S+\n/);
    expect(stdout).toMatch(/pixels right\s+\d+\.\d %/);
    expect(stdout).toMatch(/engineered names less plain names/);
    const report = JSON.parse(readFileSync(join(out, 'report-plain.json'), 'utf8'));
    expect(report.vocabulary).toMatch(/plain names/);
    expect(report.groups.all.boundaryPanoptic.pq).toBeGreaterThanOrEqual(0);
    expect(readFileSync(join(out, 'report-engineered.html'), 'utf8')).toMatch(/data:image/);
  });

  it('says what a data set cannot score', async () => {
    const data = ['--dataset', 'coco-instance', '--data', scenes];
    const { status, stderr } = await lexiseg(['eval', bundle, ...data]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/holds no instance annotations; looked for .*instances\.json/);
  });
});

describe('lexiseg data check', () => {
  it('counts, and ends with status 1 when something is wrong', async () => {
    const good = await lexiseg(['data', 'check', scenes, '--dataset', 'coco-panoptic']);
    expect(good.status).toBe(0);
    expect(good.stdout).toMatch(/4 images[\s\S]*nothing is wrong/);
    const copy = temporaryFolder();
    const annotations = JSON.parse(readFileSync(join(scenes, 'panoptic.json'), 'utf8'));
    annotations.annotations[1].segments_info[0].category_id = 12_345;
    writeFileSync(join(copy, 'panoptic.json'), JSON.stringify(annotations, null, 1));
    const { symlinkSync } = await import('node:fs');
    for (const name of ['images', 'panoptic']) symlinkSync(join(scenes, name), join(copy, name));
    const bad = await lexiseg(['data', 'check', copy, '--dataset', 'coco-panoptic', '--json']);
    expect(bad.status).toBe(1);
    const { problems } = JSON.parse(bad.stdout);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/panoptic\.json:\d+:\d+: annotations\[1\].*\(12345\)/);
    rmSync(copy, { recursive: true });
  });
});

describe('lexiseg launch', () => {
  it('gives each process its place, and ends with the status of one that failed', async () => {
    const script = join(folder, 'place.mjs');
    writeFileSync(
      script,
      `const { RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT } = process.env;
       console.log([RANK, WORLD_SIZE, MASTER_ADDR, Number(MASTER_PORT) > 0].join(' '));
       if (process.argv[2] === 'fail') RANK === '1' ? process.exit(7) : setTimeout(() => {}, 60_000);`,
    );
    const good = await lexiseg(['launch', '--nproc', '2', '--', script]);
    expect(good.status).toBe(0);
    expect(good.stdout.trim().split('\n').sort()).toEqual([
      '0 2 127.0.0.1 true',
      '1 2 127.0.0.1 true',
    ]);
    const bad = await lexiseg(['launch', '-n', '2', '--restarts', '1', '--', script, 'fail']);
    expect(bad.status).toBe(7);
    expect(bad.stderr).toMatch(/process 1 ended with 7\nlexiseg: restart 1 of 1/);
  });

  it('refuses several machines without a meeting point', async () => {
    const { status, stderr } = await lexiseg(['launch', '-n', '1', '--nodes', '2', '--', 'x.mjs']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/--master/);
  });
});

describe('the dashboard', () => {
  it('draws a falling curve from the top left to the bottom right', () => {
    const rows = brailleCurve(
      Array.from({ length: 200 }, (_, i) => 10 - i / 20),
      20,
      4,
    );
    expect(rows).toHaveLength(4);
    const dots = (row = ''): number => row.search(/[^\u2800]/);
    expect(dots(rows[0])).toBe(0);
    expect(dots(rows[3])).toBeGreaterThan(10);
    expect(brailleCurve([1, Number.NaN, 1], 4, 2).join('')).toMatch(/[^\u2800]/);
  });

  it('writes durations as people do', () => {
    expect([5, 120, 3725, 100_000].map(formatDuration)).toEqual([
      '5 s',
      '2 min',
      '62 min',
      '27 h 47 min',
    ]);
  });
});
