/** A run of several processes and a run that goes on, with a trainer that only counts. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  LexisegError,
  type Trainer,
  type TrainingData,
  type TrainingEvent,
} from '../../lib/index.js';
import { runTraining } from '../../lib/training/run.js';
import { RunFolder } from '../../lib/training/run-folder.js';
import type { RunOptions } from '../../lib/training/run-options.js';
import { temporaryFolder } from '../cli/places.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const DATA: TrainingData = {
  batchSize: 1,
  samplesPerEpoch: 10,
  async *batches() {
    for (;;) yield { inputs: {}, name: 'a batch', samples: 1 };
  },
  close: async () => {},
};

/** Sums over `worldSize` processes that wait for each other no longer than a second. */
function meeting(worldSize: number) {
  let waiting: { resolve: (sums: number[]) => void; values: readonly number[] }[] = [];
  return (values: readonly number[]): Promise<number[]> =>
    new Promise((resolve, reject) => {
      setTimeout(() => reject(new LexisegError('ERR_DISTRIBUTED', 'nobody came')), 1_000);
      waiting.push({ resolve, values });
      if (waiting.length < worldSize) return;
      const sums = values.map((_, at) =>
        waiting.reduce((total, one) => total + (one.values[at] as number), 0),
      );
      for (const one of waiting) one.resolve(sums);
      waiting = [];
    });
}

function counter(rank = 0, worldSize = 1, sum = meeting(worldSize)): Trainer {
  const trainer = {
    stepCount: 0,
    disposed: false,
    identity: {},
    info: { rank, worldSize, device: 'cpu', precision: 'float32', trainedParameters: 1 },
    step: async () => ({ losses: {}, total: 0, gradNorm: 0, step: ++trainer.stepCount }),
    save: async (path: string) => writeFileSync(path, String(trainer.stepCount)),
    restore: async (path: string) => {
      trainer.stepCount = Number(readFileSync(path, 'utf8'));
    },
    sumOverRanks: sum,
  };
  return trainer as unknown as Trainer;
}

async function run(
  trainer: Trainer,
  options: Partial<RunOptions>,
  data: TrainingData = DATA,
): Promise<TrainingEvent[]> {
  const events: TrainingEvent[] = [];
  const whole = { steps: 3, learningRate: 1, ...options };
  for await (const event of runTraining(trainer, data, whole)) events.push(event);
  return events;
}

describe('an evaluation on the first of two processes', () => {
  const together = (evaluate: RunOptions['evaluate']) => {
    const sum = meeting(2);
    const options = { evaluate, evaluateEvery: 2 };
    return Promise.allSettled([0, 1].map((rank) => run(counter(rank, 2, sum), options)));
  };
  const endOf = (one: PromiseSettledResult<TrainingEvent[]> | undefined) =>
    one?.status === 'fulfilled' ? one.value.at(-1) : (one?.reason as LexisegError);

  it('may take longer than they wait for each other', async () => {
    const [first, second] = await together(async () => {
      await after(1_800);
      return { score: 1 };
    });
    expect(endOf(first)).toMatchObject({ type: 'end', reason: 'steps', step: 3 });
    expect(endOf(second)).toMatchObject({ type: 'end', reason: 'steps', step: 3 });
  });

  it('ends the run of both when it is cancelled', async () => {
    const [first, second] = await together(async () => {
      throw new LexisegError('ERR_ABORTED', 'The call was cancelled');
    });
    expect(endOf(first)).toMatchObject({ type: 'end', reason: 'cancelled', step: 2 });
    expect(endOf(second)).toMatchObject({ type: 'end', reason: 'cancelled', step: 2 });
  });

  it('leaves the other no one to wait for when it fails', async () => {
    const [first, second] = await together(async () => {
      throw new LexisegError('ERR_DATA', 'no truth');
    });
    expect(endOf(first)).toMatchObject({ code: 'ERR_DATA' });
    expect(endOf(second)).toMatchObject({
      code: 'ERR_DISTRIBUTED',
      message: expect.stringContaining('evaluation'),
    });
  });
});

describe('processes that were given different options', () => {
  const evaluate = async () => ({ score: 1 });
  it.each<[what: string, first: Partial<RunOptions>, second: Partial<RunOptions>]>([
    ['learningRate', { learningRate: 1e-3 }, { learningRate: 1e-4 }],
    ['evaluate', { evaluate, evaluateEvery: 1 }, { evaluateEvery: 1 }],
    ['folder', { folder: 'run' }, {}],
    ['settings of the data', { seed: 1 }, { seed: 2 }],
  ])('are all told so: %s', async (what, ...options) => {
    const sum = meeting(2);
    const places = options.map((one) => (one.folder ? { ...one, folder } : one));
    const known = (rank: number) => (rank === 0 && what.endsWith('data') ? { scale: 1 } : {});
    const ends = await Promise.allSettled(
      places.map((one, rank) =>
        run(counter(rank, 2, sum), one, { ...DATA, identity: known(rank) }),
      ),
    );
    const reason = {
      code: 'ERR_DISTRIBUTED',
      message: expect.stringMatching(new RegExp(`different options: ${what}$`)),
    };
    expect(ends).toMatchObject([{ reason }, { reason }]);
  });
});

describe('the figure that a run watches', () => {
  const evaluate = async () => ({ 'pq all': 1, 'miou all': 2 });
  const options = { evaluate, evaluateEvery: 1 };

  it('must be one of the evaluation, also of the one before a run goes on', async () => {
    const misspelt = { ...options, folder, watch: 'pq al' };
    const trainer = counter();
    const message =
      'a figure of run.evaluate (pq all, miou all) for run.watch but received "pq al"';
    await expect(run(trainer, misspelt)).rejects.toThrow(message);
    expect(trainer.stepCount).toBe(1);
    await run(counter(), { ...options, folder });
    const again = counter();
    await expect(run(again, misspelt)).rejects.toThrow(message);
    expect(again.stepCount).toBe(3);
    const none = { ...options, watch: 'pq all', evaluate: async () => ({}) };
    await expect(run(counter(), none)).rejects.toThrow(/it gave none/);
  });

  it('leaves nobody waiting when it is misspelt', async () => {
    const sum = meeting(2);
    const misspelt = { ...options, watch: 'pq al' };
    const ends = await Promise.allSettled(
      [0, 1].map((rank) => run(counter(rank, 2, sum), misspelt)),
    );
    expect(ends).toMatchObject([
      { reason: { name: 'RangeError' } },
      { reason: { code: 'ERR_DISTRIBUTED', message: expect.stringContaining('evaluation') } },
    ]);
  });

  it('makes no progress where it is no number, or missing', async () => {
    const figures = [{ a: 3 }, { a: Number.NaN }, {}, { a: 4 }, { a: 1 }, {}, { b: 9 }];
    const long = { ...options, steps: 20, watch: 'a', patience: 3, folder };
    const evaluations = { ...long, evaluate: async () => figures.shift() ?? {} } as object;
    const events = await run(counter(), evaluations);
    expect(events.at(-1)).toMatchObject({ reason: 'early-stop', step: 7 });
    const best = events.flatMap((event) => (event.type === 'evaluation' ? [event.best] : []));
    expect(best).toEqual([true, false, false, true, false, false, false]);
    const again = await run(counter(), evaluations);
    expect(again.map(({ type }) => type)).toEqual(['start', 'end']);
  });

  it('is nothing without an evaluation', async () => {
    for (const alone of [{ watch: 'pq all' }, { patience: 2 }]) {
      await expect(run(counter(), alone)).rejects.toThrow(/Expected "evaluate" beside it/);
    }
  });
});

describe('a run that is started again', () => {
  it('trains no further when it had stopped early, unless patience has grown', async () => {
    let score = 10;
    const evaluate = async () => ({ score: score-- });
    const options = { steps: 9, folder, evaluate, evaluateEvery: 1, patience: 2 };
    const first = await run(counter(), options);
    expect(first.at(-1)).toMatchObject({ type: 'end', reason: 'early-stop', step: 3 });
    const again = await run(counter(), options);
    expect(again.map(({ type }) => type)).toEqual(['start', 'end']);
    expect(again.at(-1)).toMatchObject({ reason: 'early-stop', step: 3 });
    const patient = await run(counter(), { ...options, patience: 4 });
    expect(patient.at(-1)).toMatchObject({ reason: 'early-stop', step: 5 });
  });

  it('removes what a kill left unfinished, and nothing of anybody else', async () => {
    const write = (names: readonly string[]) => {
      for (const name of names) writeFileSync(join(folder, name), name);
    };
    const left = [
      'step-000000001.ckpt.part',
      'step-000000004.ckpt.part.aZ09bC',
      'best.ckpt.part',
      'evaluating.pt.part',
      'trained.pt.part.x8Qw2e',
    ];
    const own = ['best.ckpt.backup', 'step-000000002.ckpt.backup', 'notes.part', 'best.part.pt'];
    const there = (names: readonly string[]) =>
      names.filter((name) => existsSync(join(folder, name)));
    write([...left, ...own]);
    await run(counter(), { folder });
    // Until the folder had a run, nothing in it was of a run.
    expect(there([...left, ...own])).toEqual([...left, ...own]);
    new RunFolder(folder, JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')), false);
    expect(there(left)).toEqual(left);
    await run(counter(), { folder });
    expect(there(left)).toEqual([]);
    expect(there(own)).toEqual(own);
  });

  it('is refused while it still goes on', async () => {
    const options: RunOptions = { steps: 3, learningRate: 1, folder };
    const begin = (): AsyncGenerator<TrainingEvent> => runTraining(counter(), DATA, options);
    const first = begin();
    await first.next();
    await expect(begin().next()).rejects.toMatchObject({
      code: 'ERR_CHECKPOINT',
      message: expect.stringContaining(`in use: process ${process.pid} trains there`),
    });
    await first.return(undefined);
    const again = begin();
    expect((await again.next()).value).toMatchObject({ type: 'start', step: 0 });
    for await (const _ of again);
    expect(readdirSync(folder)).not.toContain('run.lock');
  });

  it('leaves no unfinished file by itself', async () => {
    let score = 0;
    const evaluate = async () => ({ score: ++score });
    await run(counter(), { folder, evaluate, evaluateEvery: 1, checkpointEvery: 2 });
    expect(readdirSync(folder).sort()).toEqual([
      'best.ckpt',
      'events.jsonl',
      'run.json',
      'step-000000002.ckpt',
      'step-000000003.ckpt',
    ]);
    expect(readFileSync(join(folder, 'best.ckpt'), 'utf8')).toBe('3');
  });

  it('must find the settings of its data as they were', async () => {
    const flipped = (flip: number) => ({ ...DATA, identity: { flip, mosaic: undefined } });
    await run(counter(), { folder }, flipped(0.5));
    await run(counter(), { folder }, flipped(0.5));
    const other = run(counter(), { folder }, flipped(0));
    await expect(other).rejects.toMatchObject({
      code: 'ERR_CHECKPOINT',
      message: expect.stringContaining('another run: data.flip differ.'),
    });
  });

  it('makes up for the evaluation that it was stopped in', async () => {
    const stopped = new LexisegError('ERR_ABORTED', 'The call was cancelled');
    const options = { folder, evaluateEvery: 3 };
    const first = await run(counter(), { ...options, evaluate: () => Promise.reject(stopped) });
    expect(first.at(-1)).toMatchObject({ type: 'end', step: 3, reason: 'cancelled' });
    const evaluate = async () => ({ score: 1 });
    const second = await run(counter(), { ...options, evaluate });
    expect(second).toContainEqual(
      expect.objectContaining({ type: 'evaluation', step: 3, metrics: { score: 1 }, best: true }),
    );
    expect(existsSync(join(folder, 'best.ckpt'))).toBe(true);
    const third = await run(counter(), { ...options, evaluate });
    expect(third.map(({ type }) => type)).not.toContain('evaluation');
  });

  it('goes on when it was begun before folders noted the settings of the data', async () => {
    const noted = join(folder, 'run.json');
    await run(counter(), { folder });
    const before = readFileSync(noted, 'utf8');
    expect(before).not.toContain('data.');
    const events = await run(counter(), { folder }, { ...DATA, identity: { flip: 0.5 } });
    expect(events[0]).toMatchObject({ type: 'start', step: 3 });
    expect(readFileSync(noted, 'utf8')).toBe(before);
    writeFileSync(noted, '{');
    const broken = run(counter(), { folder }, { ...DATA, identity: { flip: 0.5 } });
    await expect(broken).rejects.toMatchObject({ code: 'ERR_OUTPUT' });
  });
});
