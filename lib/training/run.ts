/** A whole run of training over data: schedule, log, checkpoints, evaluation, and going on. */
import { copyFileSync } from 'node:fs';
import { setTimeout as after } from 'node:timers/promises';
import { LexisegError } from '../errors.js';
import { agree } from './agreement.js';
import type { TrainingBatch, TrainingData } from './batch.js';
import { SHORTEST_TIMEOUT } from './environment.js';
import type { StepEvent, TrainingEvent } from './event.js';
import { Pace } from './pace.js';
import {
  DATA_PREFIX,
  keepPart,
  lockRun,
  partOf,
  RunFolder,
  type RunIdentity,
} from './run-folder.js';
import { parseRunOptions, type RunOptions } from './run-options.js';
import { learningRateSchedule } from './schedule.js';
import type { Trainer } from './trainer.js';
import { Watch } from './watch.js';

/**
 * Trains for `options.steps` updates and tells what happens. A run in the same folder with the same
 * options goes on where its latest checkpoint is; leaving the loop early stops it after a
 * checkpoint.
 *
 * @throws LexisegError `ERR_NOT_FINITE` naming the batch whose loss is NaN; `ERR_CHECKPOINT` for a
 *   folder with another run, or in which one is going on; `ERR_DISTRIBUTED` where the processes of the
 *   run were given different options; what `Trainer.step` and the data throw.
 */
export async function* runTraining(
  trainer: Trainer,
  data: TrainingData,
  options: RunOptions,
): AsyncGenerator<TrainingEvent> {
  const parsed = parseRunOptions(options);
  const { folder } = parsed;
  const keeps = folder !== undefined && trainer.info.rank === 0;
  const release = keeps ? await lockRun(folder) : undefined;
  try {
    yield* eventsOf(trainer, data, parsed);
  } finally {
    await release?.();
  }
}

async function* eventsOf(
  trainer: Trainer,
  data: TrainingData,
  parsed: ReturnType<typeof parseRunOptions>,
): AsyncGenerator<TrainingEvent> {
  const { steps, seed, accumulate, signal } = parsed;
  const { rank, worldSize } = trainer.info;
  const identity = {
    ...parsed.identity,
    ...trainer.identity,
    worldSize,
    batchSize: data.batchSize,
    samplesPerEpoch: data.samplesPerEpoch,
    ...prefixed(data.identity ?? {}),
  };
  await agree(trainer, {
    ...identity,
    folder: parsed.folder !== undefined,
    evaluate: parsed.evaluate !== undefined,
    evaluateEvery: parsed.evaluateEvery,
    checkpointEvery: parsed.checkpointEvery,
  });
  const folder =
    parsed.folder === undefined ? undefined : new RunFolder(parsed.folder, identity, rank === 0);
  const history = await resume(trainer, folder, signal);
  const watch = new Watch(parsed, history);
  const schedule = learningRateSchedule(parsed.schedule, steps);
  const keeps = folder !== undefined && rank === 0;
  const pace = new Pace();
  const tell = <Event extends TrainingEvent>(event: Event): Event => {
    if (keeps) folder.record(event);
    return event;
  };
  const save = async (): Promise<TrainingEvent | undefined> => {
    if (!keeps) return undefined;
    const path = folder.checkpointPath(trainer.stepCount);
    await trainer.save(partOf(path));
    keepPart(path);
    folder.keepLatest(parsed.keepLast);
    return tell({ type: 'checkpoint', step: trainer.stepCount, path });
  };

  // A step that only some processes leave would keep the others waiting: all stop between two.
  const stepSignal = worldSize > 1 ? undefined : signal;
  const start = trainer.stepCount * accumulate;
  const request = { start, seed, rank, worldSize, signal: stepSignal };
  const batches = data.batches(request)[Symbol.asyncIterator]();
  let reason: 'steps' | 'early-stop' | 'cancelled' = 'steps';
  yield tell({
    type: 'start',
    step: trainer.stepCount,
    steps,
    batchSize: data.batchSize * accumulate,
    worldSize,
    device: trainer.info.device,
    precision: trainer.info.precision,
    trainedParameters: trainer.info.trainedParameters,
  });
  let saved = trainer.stepCount;
  const evaluated = async (step: number): Promise<TrainingEvent | undefined> => {
    const metrics = await onFirstRank(trainer, () => watch.evaluate(trainer));
    if (metrics === undefined) return undefined;
    const best = watch.note(metrics);
    if (best && keeps) await saveBest(trainer, folder);
    return tell({ type: 'evaluation', step, metrics, best });
  };
  const wantsToStop = (): Promise<boolean> => anyRank(trainer, signal?.aborted === true);
  try {
    // Stopped in the middle of an evaluation: it is made up for.
    const step = trainer.stepCount;
    const missed = watch.due(step) && !history.some((event) => isEvaluation(event, step));
    if (await anyRank(trainer, rank === 0 && step > 0 && missed)) {
      const evaluation = await evaluated(step);
      if (evaluation !== undefined) yield evaluation;
    }
    if (await anyRank(trainer, rank === 0 && watch.exhausted)) reason = 'early-stop';
    while (reason === 'steps' && trainer.stepCount < steps) {
      if (await wantsToStop()) {
        reason = 'cancelled';
        break;
      }
      const began = performance.now();
      const group = await take(batches, accumulate);
      const waited = performance.now() - began;
      const learningRate = parsed.learningRate * schedule(trainer.stepCount);
      const result = await trainer.step(group, { learningRate, signal: stepSignal });
      const samples = group.reduce((sum, batch) => sum + batch.samples, 0);
      pace.add(samples, performance.now() - began, waited);
      const event: StepEvent = {
        type: 'step',
        ...result,
        ...pace.figures(steps - result.step),
        memoryBytes: process.memoryUsage.rss(),
      };
      if (result.step % parsed.logEvery === 0 || result.step === steps) yield tell(event);
      const due = watch.due(result.step);
      const evaluation = due ? await evaluated(result.step) : undefined;
      if (evaluation !== undefined) yield evaluation;
      if (result.step % parsed.checkpointEvery === 0 || result.step === steps) {
        const written = await save();
        saved = result.step;
        if (written !== undefined) yield written;
      }
      if (due && (await anyRank(trainer, rank === 0 && watch.exhausted))) {
        reason = 'early-stop';
        break;
      }
    }
  } catch (error) {
    if (!isAbort(error)) throw error;
    reason = 'cancelled';
  } finally {
    await batches.return?.();
    if (saved !== trainer.stepCount && !trainer.disposed) await save();
  }
  yield tell({ type: 'end', step: trainer.stepCount, reason, seconds: pace.seconds });
}

/** Whether it holds on any process; all of them must ask. */
async function anyRank(trainer: Trainer, own: boolean): Promise<boolean> {
  const [count = 0] = await trainer.sumOverRanks([own ? 1 : 0]);
  return count > 0;
}

const isEvaluation = (event: TrainingEvent, step: number): boolean =>
  event.type === 'evaluation' && event.step === step;

const isAbort = (error: unknown): boolean =>
  error instanceof LexisegError && error.code === 'ERR_ABORTED';

/** What the first process tells those that wait for it; they add nothing to it. */
const WORD = { working: 0, done: 1, cancelled: 2, failed: 3 };

/**
 * Does work on the first process alone and gives its result there. The others wait for as long as it
 * takes: they hear from it more often than the limit on a silent process asks.
 */
async function onFirstRank<Result>(
  trainer: Trainer,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  const { rank, worldSize } = trainer.info;
  if (worldSize === 1) return work();
  if (rank > 0) return hearFirstRank(trainer);
  const running = work();
  const outcome = running.then(
    () => WORD.done,
    (error: unknown) => (isAbort(error) ? WORD.cancelled : WORD.failed),
  );
  for (;;) {
    const pause = after(500 * SHORTEST_TIMEOUT, WORD.working, { ref: false });
    const word = await Promise.race([outcome, pause]);
    await trainer.sumOverRanks([word]);
    if (word !== WORD.working) return running;
  }
}

async function hearFirstRank(trainer: Trainer): Promise<undefined> {
  let word = WORD.working;
  while (word === WORD.working) [word = WORD.failed] = await trainer.sumOverRanks([0]);
  if (word === WORD.done) return;
  throw word === WORD.cancelled
    ? new LexisegError('ERR_ABORTED', 'The call was cancelled')
    : new LexisegError('ERR_DISTRIBUTED', 'The evaluation on rank 0 has failed');
}

const prefixed = (identity: RunIdentity): RunIdentity =>
  Object.fromEntries(
    Object.entries(identity).map(([key, value]) => [`${DATA_PREFIX}${key}`, value]),
  );

/** Restores the latest checkpoint and gives the events before it. */
async function resume(
  trainer: Trainer,
  folder: RunFolder | undefined,
  signal: AbortSignal | undefined,
): Promise<TrainingEvent[]> {
  if (folder === undefined) return [];
  const latest = folder.checkpoints()[0];
  if (latest !== undefined) await trainer.restore(latest.path, { signal });
  const { stepCount: step, info } = trainer;
  const [sum = 0] = await trainer.sumOverRanks([step]);
  if (sum === step * info.worldSize) return folder.rewind(step);
  throw new LexisegError(
    'ERR_DISTRIBUTED',
    `The processes found different checkpoints in ${folder.folder}: share the folder between them`,
    { details: { folder: folder.folder, step } },
  );
}

async function saveBest(trainer: Trainer, folder: RunFolder): Promise<void> {
  const there = folder.checkpoints().find(({ step }) => step === trainer.stepCount);
  const part = partOf(folder.bestPath);
  if (there === undefined) await trainer.save(part);
  else copyFileSync(there.path, part);
  keepPart(folder.bestPath);
}

async function take(
  batches: AsyncIterator<TrainingBatch>,
  count: number,
): Promise<TrainingBatch[]> {
  const group: TrainingBatch[] = [];
  while (group.length < count) {
    const next = await batches.next();
    if (next.done) throw new LexisegError('ERR_DATA', 'The training data came to an end');
    group.push(next.value);
  }
  return group;
}
