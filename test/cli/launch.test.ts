/** How `lexiseg launch` and `lexiseg train` stop, and what several processes wait for. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, lexiseg, main, root } from './command.js';
import { drawScenes } from './drawn-scenes.js';
import { temporaryFolder } from './places.js';

const node = process.execPath;
let folder: string;
beforeAll(async () => {
  folder = temporaryFolder();
  await drawScenes(join(folder, 'scenes'), 4, 2);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Running {
  readonly child: ChildProcess;
  readonly status: Promise<number | null>;
  /** What it has written to both streams, once `pattern` is in it. */
  readonly seen: (pattern: RegExp) => Promise<string>;
  readonly text: () => string;
}

/** Runs the command in a process group of its own, as a terminal does. */
function start(program: string, ...args: readonly string[]): Running {
  const child = spawn(program, args, {
    detached: true,
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let written = '';
  let looks: (() => void)[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      written += chunk.toString();
      for (const look of looks) look();
    });
  }
  const status = new Promise<number | null>((resolve) => child.once('close', resolve));
  const seen = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (pattern.test(written)) resolve(written);
      };
      looks = [...looks, look];
      look();
      status.then(() => reject(new Error(`ended without ${pattern}: ${written}`)));
    });
  return { child, status, seen, text: () => written };
}

/** What Ctrl-C does in a terminal. */
const interrupt = ({ child }: Running): boolean => process.kill(-(child.pid as number), 'SIGINT');
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Of what has lost its parent the dead stay in the list until the first process looks. */
const gone = (pids: readonly number[]) =>
  expect.poll(() => pids.filter(isAlive), { timeout: 20_000 }).toEqual([]);

describe('lexiseg launch', () => {
  /** Rank 0 needs two seconds to stop, rank 1 leaves at once; `deaf` ones do not stop. */
  const script = (): string => {
    const path = join(folder, 'stop.mjs');
    writeFileSync(
      path,
      `const { RANK } = process.env;
       const got = [];
       for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {
         got.push(name);
         if (process.argv[2] === 'deaf' || got.length > 1) return;
         setTimeout(() => {
           console.log('rank ' + RANK + ' got ' + got.join(' and ') + '.');
           process.exit(130);
         }, RANK === '0' ? 2000 : 0);
       });
       setInterval(() => {}, 1000);
       console.log('rank ' + RANK + ' is ' + process.pid + '.');`,
    );
    return path;
  };
  const launch = async (args: string[] = [], flags: string[] = []) => {
    const running = start(node, main, 'launch', '-n', '2', ...flags, '--', script(), ...args);
    await running.seen(/rank 0 is \d+\./);
    const text = await running.seen(/rank 1 is \d+\./);
    const pids = [...text.matchAll(/rank \d is (\d+)\./g)].map(([, pid]) => Number(pid));
    return { ...running, pids };
  };

  it('passes one signal on at Ctrl-C, gives time to save, and ends with 130', async () => {
    const running = await launch();
    interrupt(running);
    expect(await running.status).toBe(130);
    expect(running.text()).toContain('rank 0 got SIGTERM.');
    expect(running.text()).toContain('rank 1 got SIGTERM.');
  });

  it.each(['SIGTERM', 'SIGHUP'] as const)('passes %s on as well', async (name) => {
    const running = await launch();
    running.child.kill(name);
    expect(await running.status).toBe(130);
    expect(running.text()).toContain('rank 0 got SIGTERM.');
  });

  it('ends all at once at a second Ctrl-C', async () => {
    const running = await launch(['deaf']);
    interrupt(running);
    await running.seen(/stopping/);
    await pause(1_200);
    expect(running.pids.map(isAlive)).toEqual([true, true]);
    interrupt(running);
    expect(await running.status).toBe(130);
    await gone(running.pids);
  });

  it('does not begin again what was stopped by way of one process', async () => {
    const running = await launch([], ['--restarts', '1']);
    process.kill(running.pids[1] as number, 'SIGTERM');
    expect(await running.status).toBe(130);
    expect(running.text()).toContain('rank 0 got SIGTERM.');
    expect(running.text()).not.toContain('restart 1');
  });

  it('leaves nothing behind when it quits', async () => {
    const running = await launch(['deaf']);
    running.child.kill('SIGQUIT');
    await running.status;
    await gone(running.pids);
  });
});

describe('lexiseg train', () => {
  const config = (name: string, trainer: object = {}): string => {
    const path = join(folder, name);
    const size = { width: 64, height: 64 };
    const data = { dataset: 'coco-panoptic', folder: 'scenes', batchSize: 1, imageSize: size };
    const run = { steps: 100_000, learningRate: 1e-5 };
    const whole = { bundle, data, trainer: { threads: 1, ...trainer }, run };
    writeFileSync(path, JSON.stringify(whole));
    return path;
  };
  const checkpoints = (out: string): string[] =>
    existsSync(out) ? readdirSync(out).filter((name) => /^step-\d+\.ckpt$/.test(name)) : [];

  it('saves and ends with 130 at Ctrl-C, also when that comes from two sides', async () => {
    const out = join(folder, 'alone');
    const running = start(node, main, 'train', config('alone.json'), '-o', out);
    await running.seen(/"type":"step"/);
    interrupt(running);
    running.child.kill('SIGTERM');
    expect(await running.status).toBe(130);
    expect(running.text()).toMatch(/"reason":"cancelled"[\s\S]*the same command goes on/);
    expect(checkpoints(out)).toHaveLength(1);
  });

  it('saves also when the same Ctrl-C ends the reader of its output', async () => {
    const out = join(folder, 'piped');
    const command = [node, main, 'train', config('piped.json'), '-o', out];
    const running = start('sh', '-c', `'${command.join("' '")}' | cat`);
    await running.seen(/"type":"step"/);
    interrupt(running);
    await running.status;
    expect(running.text()).toMatch(/the same command goes on/);
    expect(checkpoints(out)).toHaveLength(1);
  });

  it('saves and ends with 130 in several processes', async () => {
    const out = join(folder, 'two');
    const running = start(
      node,
      main,
      'launch',
      '-n',
      '2',
      '--',
      'train',
      config('two.json'),
      '-o',
      out,
    );
    await running.seen(/"type":"step"/);
    interrupt(running);
    expect(await running.status).toBe(130);
    expect(running.text()).toMatch(/"reason":"cancelled"/);
    expect(running.text()).not.toMatch(/ERR_DISTRIBUTED/);
    expect(checkpoints(out)).toHaveLength(1);
  });

  it('waits for other processes as long as the file says', async () => {
    const alone = { RANK: '0', WORLD_SIZE: '1', MASTER_PORT: '29500' };
    const path = config('wait.json', { distributed: { timeout: 0 } });
    const { status, stderr } = await lexiseg(['train', path, '-o', join(folder, 'wait')], {
      env: alone,
    });
    expect(stderr).toMatch(/options\.distributed\.timeout/);
    expect(status).toBe(2);
  });
});

describe('an evaluation on the first of two processes', () => {
  it('may take longer than they wait for each other', async () => {
    const path = join(folder, 'slow.mjs');
    const size = '{ width: 64, height: 64 }';
    writeFileSync(
      path,
      `import { openDataset, panopticData, Trainer } from '${root}/dist/index.js';
       const dataset = await openDataset('coco-panoptic', '${join(folder, 'scenes')}');
       const classes = dataset.classes.map(({ name }) => name);
       const distributed = { timeout: 3 };
       const options = { vocabulary: classes, threads: 1, distributed };
       const trainer = await Trainer.open('${bundle}', options);
       const data = panopticData(dataset, { batchSize: 1, imageSize: ${size}, classes });
       const evaluate = async () => {
         await new Promise((resolve) => setTimeout(resolve, 5_000));
         return { score: 1 };
       };
       const run = { steps: 2, learningRate: 1e-5, evaluate, evaluateEvery: 2 };
       for await (const event of trainer.run(data, run)) {
         if (event.type === 'end') console.log(trainer.info.rank + ' ' + event.reason + '.');
       }
       await trainer.dispose();`,
    );
    const { status, stdout, stderr } = await lexiseg(['launch', '-n', '2', '--', path]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout.trim().split('\n').sort()).toEqual(['0 steps.', '1 steps.']);
  });
});
