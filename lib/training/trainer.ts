/** Trains a bundle: one step after another, checkpoints, and the bundle that comes out. */
import { expected, LexisegError } from '../errors.js';
import { callNative, runJob, throwIfAborted } from '../job.js';
import type { Manifest } from '../manifest.js';
import { native } from '../native.js';
import { type CallOptions, checkOptions, numberIn } from '../options.js';
import { Tensor } from '../tensor.js';
import { heldPrompts } from '../text/text-encoder.js';
import type { ClipTokenizer } from '../text/tokenizer.js';
import type { TrainingBatch, TrainingData } from './batch.js';
import { type BundleExport, trainedManifest } from './bundle-export.js';
import { sumOverRanks } from './distributed.js';
import type { TrainingEvent } from './event.js';
import { batchList, checkBatch, completeInputs } from './objective.js';
import { runTraining } from './run.js';
import type { RunOptions } from './run-options.js';
import { sampleSeeds } from './seed.js';
import type { StepOptions, StepResult, TrainerInfo } from './step.js';
import type { TrainerOptions } from './trainer-options.js';
import { openTrainerParts, type TrainerParts } from './trainer-parts.js';
import { trainingClasses } from './training-vocabulary.js';
import { Turns } from './turns.js';

/**
 * A bundle in training. Steps run one after another on a thread of the addon; the weights stay
 * float32, and with `precision: 'bfloat16'` products run in bfloat16.
 */
export class Trainer implements AsyncDisposable {
  readonly manifest: Manifest;
  /** Absolute path of the bundle it began with. */
  readonly path: string;
  readonly info: TrainerInfo;
  /** The bundle's tokenizer, for captions. */
  readonly tokenizer: ClipTokenizer;
  readonly #parts: TrainerParts;
  readonly #turns = new Turns();
  #step = 0;
  #disposal: Promise<void> | undefined;

  private constructor(parts: TrainerParts) {
    this.#parts = parts;
    this.manifest = parts.manifest;
    this.path = parts.path;
    this.tokenizer = parts.tokenizer;
    const info = callNative(() => parts.native.info());
    const { rank = 0, worldSize = 1 } = parts.rank ?? {};
    this.info = Object.freeze({ ...info, rank, worldSize });
  }

  /**
   * Opens a bundle that was exported with its loss.
   *
   * @throws LexisegError `ERR_UNSUPPORTED` for a bundle without a loss or a text tower that is to
   *   learn from masks, `ERR_DISTRIBUTED` when other processes were to be met and were not, and what
   *   `Segmenter.load` throws.
   */
  static async open(path: string, options: TrainerOptions = {}): Promise<Trainer> {
    return new Trainer(await openTrainerParts(path, options));
  }

  /** Updates made so far, those before a restored checkpoint included. */
  get stepCount(): number {
    return this.#step;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /**
   * One update of the weights from one batch, or from several whose gradients are averaged. The
   * tensors of the batches are disposed, whatever happens. Steps begun together run in their order.
   *
   * @throws LexisegError `ERR_NOT_FINITE` when a loss or a gradient is NaN or infinite (the weights
   *   stay as they were; `details.batch` names the batch), `ERR_TENSOR` for a batch that does not
   *   fit the bundle's loss.
   */
  async step(
    batch: TrainingBatch | readonly TrainingBatch[],
    options: StepOptions,
  ): Promise<StepResult> {
    this.#checkAlive();
    const given: readonly Partial<TrainingBatch>[] = Array.isArray(batch) ? batch : [batch];
    try {
      const batches = batchList(batch);
      checkOptions(options, ['learningRate', 'signal'], 'options');
      const learningRate = numberIn(options?.learningRate, 0, 1e6, 'options.learningRate');
      const { signal } = options;
      return await this.#inTurn(signal, () => this.#update(batches, learningRate, signal));
    } finally {
      for (const one of given) {
        for (const tensor of Object.values(one?.inputs ?? {})) {
          if (tensor instanceof Tensor) tensor.dispose();
        }
      }
    }
  }

  /**
   * Trains over data and tells what happens; a run in the same `folder` goes on where it stopped.
   * Leaving the loop stops the run after a checkpoint.
   */
  run(data: TrainingData, options: RunOptions): AsyncGenerator<TrainingEvent> {
    this.#checkAlive();
    return runTraining(this, data, options);
  }

  /** What a run must share with the run that it continues. */
  get identity(): Readonly<Record<string, unknown>> {
    const { manifest, options, vocabulary } = this.#parts;
    const { precision, seed, optimizer, gradientClip, ema, groups } = options;
    return {
      weights: manifest.weights.sha256,
      trainer: { precision, seed, optimizer, gradientClip, ema, groups },
      classes: trainingClasses(vocabulary) ?? [],
    };
  }

  /**
   * Sums numbers over the processes of the run; every one of them must call it. On its own a
   * process gets its numbers back.
   */
  async sumOverRanks(values: readonly number[]): Promise<number[]> {
    this.#checkAlive();
    if (this.#parts.rank === undefined || values.length === 0) return [...values];
    return sumOverRanks(this.#parts.native, values);
  }

  /** float32 [N, D] unit text embeddings of prompts as written, with the weights as they are. */
  async encodeText(
    prompts: string | readonly string[],
    options: CallOptions = {},
  ): Promise<Tensor> {
    this.#checkAlive();
    checkOptions(options, ['signal'], 'options');
    const list = heldPrompts(prompts);
    const rows = await this.#parts.encoder.textEmbeddings(list, { signal: options.signal });
    return Tensor.from(rows, [list.length, this.manifest.embeddingDim]);
  }

  /** Writes weights, optimiser and step to a file that appears whole or not at all. */
  async save(path: string, options: CallOptions = {}): Promise<void> {
    this.#checkCall(path, options);
    await runJob(options.signal, (job) => this.#parts.native.save(job, path));
  }

  /**
   * Goes on from a file that `save` wrote.
   *
   * @throws LexisegError `ERR_CHECKPOINT` when it is broken or belongs to another network or
   *   choice of what is trained; nothing has changed then.
   */
  async restore(path: string, options: CallOptions = {}): Promise<void> {
    this.#checkCall(path, options);
    const { signal } = options;
    await this.#inTurn(signal, async () => {
      // Whole once begun: weights of the file with the step from before would be neither state.
      this.#step = await runJob(undefined, (job) => this.#parts.native.restore(job, path));
    });
  }

  /**
   * Writes a bundle of the weights as they are, for {@link Segmenter.load} or for more training;
   * it appears whole or not at all.
   */
  async exportBundle(path: string, options: BundleExport & CallOptions = {}): Promise<void> {
    this.#checkAlive();
    checkPath(path);
    const { manifest, vocabulary, merges } = this.#parts;
    const plan = trainedManifest(manifest, options, {
      classes: trainingClasses(vocabulary),
      torchVersion: callNative(() => native().versions()).torch,
      begunWith: this.path,
    });
    await runJob(options.signal, (job) =>
      this.#parts.native.writeBundle(
        job,
        path,
        plan.movingAverage,
        plan.dtype,
        manifest.keepFloat32,
        plan.manifest,
        [manifest.tokenizer.merges],
        [merges],
        plan.trainable,
      ),
    );
  }

  /** Refuses calls from now on, waits for the step in flight, then frees the weights; idempotent. */
  dispose(): Promise<void> {
    this.#disposal ??= (async () => {
      const { vocabulary } = this.#parts;
      await this.#turns.take(() => this.#parts.native.dispose());
      vocabulary?.classEmbeddings.dispose();
      vocabulary?.synonymCounts.dispose();
    })();
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /**
   * Runs `work` when its turn comes: between the gradients of a step and its update nothing else may
   * touch weights or gradients.
   */
  #inTurn<Result>(signal: AbortSignal | undefined, work: () => Promise<Result>): Promise<Result> {
    return this.#turns.take(async () => {
      throwIfAborted(signal);
      this.#checkAlive();
      return work();
    }, signal);
  }

  async #update(
    batches: readonly TrainingBatch[],
    learningRate: number,
    signal: AbortSignal | undefined,
  ): Promise<StepResult> {
    const losses: Record<string, number> = {};
    for (const [index, one] of batches.entries()) {
      const found = await this.#accumulate(one, index, batches.length, signal);
      for (const [name, value] of Object.entries(found)) {
        losses[name] = (losses[name] ?? 0) + value / batches.length;
      }
    }
    const name = batches.map((one) => one.name).join('; ');
    // Once it may change the weights it is not cancelled: callers and the addon count alike.
    throwIfAborted(signal);
    const { gradNorm, step } = await this.#naming(name, () =>
      runJob(undefined, (job) =>
        this.#parts.native.update(job, learningRate, this.#parts.options.gradientClip),
      ),
    );
    this.#step = step;
    const total = Object.values(losses).reduce((sum, value) => sum + value, 0);
    return { losses, total, gradNorm, learningRate, step };
  }

  async #accumulate(
    batch: TrainingBatch,
    index: number,
    count: number,
    signal: AbortSignal | undefined,
  ): Promise<Record<string, number>> {
    const { training, vocabulary, options } = this.#parts;
    const size = checkBatch(training.batch, batch);
    const { rank, worldSize } = this.info;
    const places = Array.from({ length: size }, (_, i) => (index * size + i) * worldSize + rank);
    const seeds = Tensor.from(sampleSeeds(options.seed, this.#step, places), [size]);
    const [first, last] = [index === 0, index === count - 1];
    const inputs = completeInputs(training.batch, batch, seeds, vocabulary);
    try {
      const handles = Object.entries(inputs).map(([name, tensor]) => Tensor.unwrap(tensor, name));
      return await this.#naming(batch.name, () =>
        runJob(signal, (job) =>
          this.#parts.native.accumulate(job, Object.keys(inputs), handles, 1 / count, first, last),
        ),
      );
    } finally {
      seeds.dispose();
    }
  }

  /** Runs `work`; an error that the numbers caused names the batch. */
  async #naming<Result>(batch: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LexisegError) || error.code === 'ERR_ABORTED') throw error;
      throw new LexisegError(error.code, `${error.message} (${batch}, step ${this.#step + 1})`, {
        cause: error,
        details: { ...error.details, batch, step: this.#step + 1 },
      });
    }
  }

  #checkCall(path: string, options: CallOptions): void {
    this.#checkAlive();
    checkPath(path);
    checkOptions(options, ['signal'], 'options');
  }

  #checkAlive(): void {
    if (this.disposed) throw new LexisegError('ERR_DISPOSED', 'The trainer was used after dispose');
  }
}

function checkPath(path: unknown): void {
  if (typeof path !== 'string' || path === '') throw expected('a path', 'path', path);
}
