/** Opens a bundle for training: manifest, tokenizer, native trainer, classes, other processes. */
import { readManifest, readMerges, tokenizerOf } from '../bundle.js';
import { findBundleFile } from '../bundle-file.js';
import { LexisegError } from '../errors.js';
import { runJob, throwIfAborted } from '../job.js';
import type { Manifest } from '../manifest.js';
import type { TrainingInfo } from '../manifest-training.js';
import { native } from '../native.js';
import type { NativeTrainer } from '../native-trainer.js';
import type { TextEncoder } from '../text/text-encoder.js';
import type { ClipTokenizer } from '../text/tokenizer.js';
import { joinRanks } from './distributed.js';
import { deviceOfRank, type Rank, threadsOfRank } from './environment.js';
import { trainedGroups } from './optimizer.js';
import { parseTrainerOptions, type TrainerOptions } from './trainer-options.js';
import {
  embedVocabulary,
  type TrainingVocabulary,
  textEncoderInTraining,
} from './training-vocabulary.js';

export interface TrainerParts {
  readonly path: string;
  readonly manifest: Manifest;
  readonly training: TrainingInfo;
  readonly merges: string;
  readonly tokenizer: ClipTokenizer;
  readonly native: NativeTrainer;
  readonly encoder: TextEncoder;
  readonly vocabulary: TrainingVocabulary | undefined;
  /** Undefined for a process on its own. */
  readonly rank: Rank | undefined;
  readonly options: ReturnType<typeof parseTrainerOptions>;
}

/** @throws LexisegError as `Trainer.open` documents. */
export async function openTrainerParts(
  path: string,
  options: TrainerOptions,
): Promise<TrainerParts> {
  const parsed = parseTrainerOptions(options);
  const { rank } = parsed;
  const { signal } = options;
  throwIfAborted(signal);
  const file = await findBundleFile(path);
  const manifest = await readManifest(file, { signal });
  const { training } = manifest;
  if (training === undefined) {
    throw new LexisegError(
      'ERR_UNSUPPORTED',
      `${file} holds no training loss: export it with --trainable`,
      { details: { path: file } },
    );
  }
  const merges = await readMerges(file, manifest, signal);
  const tokenizer = tokenizerOf(merges, manifest);
  const groups = trainedGroups(training, parsed.groups, parsed.optimizer);
  const handle = await runJob(signal, (job) =>
    native().openTrainer(
      job,
      file,
      deviceOfRank(parsed.device, rank),
      parsed.precision,
      threadsOfRank(parsed.threads, rank),
      manifest.keepFloat32,
      groups,
      parsed.optimizer.kind,
      parsed.optimizer.numbers,
      parsed.ema,
    ),
  );
  try {
    const encoder = textEncoderInTraining(handle, manifest, tokenizer);
    const vocabulary =
      options.vocabulary === undefined
        ? undefined
        : await embedVocabulary(options.vocabulary, manifest, encoder, signal);
    // Last, so that a process that cannot start does not leave the others waiting for a step.
    if (rank !== undefined) await joinRanks(handle, rank, signal);
    const shared = { path: file, manifest, training, merges, tokenizer, rank, options: parsed };
    return { ...shared, native: handle, encoder, vocabulary };
  } catch (error) {
    await handle.dispose();
    throw error;
  }
}
