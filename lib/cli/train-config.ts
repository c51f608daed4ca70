/** The JSON file of `lexiseg train`: what is read, what is trained, for how long. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DATASET_KINDS } from '../data/dataset-kinds.js';
import { expected } from '../errors.js';
import type {
  BundleExport,
  ClassInput,
  DatasetKind,
  ImageTextOptions,
  PanopticOptions,
  RunOptions,
  TrainerOptions,
} from '../index.js';
import { checkOptions, integerIn, oneOf } from '../options.js';
import { shippedVocabularies } from '../text/vocabulary-file.js';
import { parseBundleExport } from '../training/bundle-export.js';
import { UsageError } from './exit.js';

/** Where segmentation data lies. */
export interface SegmentationSource {
  readonly dataset: DatasetKind;
  readonly folder: string;
  readonly split?: 'train' | 'val';
}

/** Segmentation data to train on; `words` is a file of captions of its images. */
export interface MaskSource extends SegmentationSource, Omit<PanopticOptions, 'classes' | 'words'> {
  readonly words?: string;
}

/** Segmentation data to score on: its first `limit` images, or all. */
export interface EvaluationSource extends SegmentationSource {
  readonly limit?: number;
  /** `plain`: each class by its first word alone, whatever else it is trained by. */
  readonly names?: 'engineered' | 'plain';
}

/** Where captions lie: a JSONL or CSV file, or a folder of tar shards. */
export interface CaptionSource {
  readonly captions: string;
}

export interface TrainConfig {
  readonly bundle: string;
  readonly data: MaskSource | (CaptionSource & ImageTextOptions);
  /**
   * Classes that are trained, or the name or file of a vocabulary of them; default those of the data,
   * less those that it calls unseen.
   */
  readonly vocabulary?: string | readonly ClassInput[];
  readonly trainer?: Omit<TrainerOptions, 'vocabulary' | 'signal'>;
  readonly run: Omit<RunOptions, 'evaluate' | 'folder' | 'signal'>;
  /** Scored while training, by the moving average of the weights where one is kept. */
  readonly evaluate?: EvaluationSource;
  readonly export?: BundleExport;
}

/** Flags that take the place of what the file says. */
export interface TrainFlags {
  readonly bundle?: string;
  readonly steps?: number;
  readonly learningRate?: number;
  readonly batchSize?: number;
  readonly device?: string;
  readonly precision?: 'float32' | 'bfloat16';
  readonly threads?: number;
  readonly seed?: number;
}

const KEYS = ['bundle', 'data', 'vocabulary', 'trainer', 'run', 'evaluate', 'export'];

/** Objects of the file, each with the options of the library that the command itself fills in. */
const PARTS = {
  data: ['classes'],
  run: ['evaluate', 'folder', 'signal'],
  trainer: ['vocabulary', 'signal'],
  evaluate: [],
  export: ['signal'],
} as const;

function checkParts(value: Record<string, unknown>, path: string): void {
  for (const [part, filled] of Object.entries(PARTS)) {
    const optional = part !== 'data' && part !== 'run';
    const fields = value[part];
    if (fields === undefined && optional) continue;
    if (fields === null || typeof fields !== 'object' || Array.isArray(fields)) {
      throw new UsageError(`${path} has no object "${part}"`);
    }
    const misplaced = filled.find((key) => key in fields);
    if (misplaced === undefined) continue;
    throw new UsageError(`${path}: "${misplaced}" is no part of "${part}"`);
  }
}

function checkEvaluation(source: EvaluationSource): void {
  checkOptions(source, ['dataset', 'folder', 'split', 'limit', 'names'], 'evaluate');
  const { dataset, folder, split, limit, names } = source;
  oneOf(dataset, DATASET_KINDS, 'evaluate.dataset');
  if (typeof folder !== 'string') throw expected('a folder', 'evaluate.folder', folder);
  if (split !== undefined) oneOf(split, ['train', 'val'], 'evaluate.split');
  if (limit !== undefined) integerIn(limit, 1, 1e9, 'evaluate.limit');
  if (names !== undefined) oneOf(names, ['engineered', 'plain'], 'evaluate.names');
}

/** Reads the file; paths in it are relative to it. */
export function readTrainConfig(path: string, flags: TrainFlags): TrainConfig {
  const value = readJson(path);
  checkOptions(value, KEYS, path);
  checkParts(value, path);
  const base = dirname(path);
  const at = <Part extends object>(part: Part, ...keys: string[]): Part =>
    Object.fromEntries(
      Object.entries(part).map(([key, one]) =>
        keys.includes(key) && typeof one === 'string' ? [key, resolve(base, one)] : [key, one],
      ),
    ) as Part;
  const written = value as unknown as TrainConfig;
  if (written.evaluate !== undefined) checkEvaluation(written.evaluate);
  if (written.export !== undefined) parseBundleExport(written.export, 'export');
  const shipped = shippedVocabularies().includes(written.vocabulary as string);
  const config = shipped ? written : at(written, 'vocabulary');
  const bundle =
    flags.bundle ?? (config.bundle === undefined ? undefined : resolve(base, config.bundle));
  if (typeof bundle !== 'string')
    throw new UsageError(`${path} names no "bundle", nor does --bundle`);
  return {
    ...config,
    bundle,
    data: {
      ...at(config.data, 'folder', 'captions', 'words'),
      ...given({ batchSize: flags.batchSize }),
    },
    trainer: {
      ...config.trainer,
      ...given({
        device: flags.device as NonNullable<TrainerOptions['device']> | undefined,
        precision: flags.precision,
        threads: flags.threads,
        seed: flags.seed,
      }),
    },
    run: {
      ...config.run,
      ...given({ steps: flags.steps, learningRate: flags.learningRate, seed: flags.seed }),
    },
    ...(config.evaluate ? { evaluate: at(config.evaluate, 'folder') } : {}),
  };
}

/** Without what is undefined. */
const given = <Values extends object>(values: Values): Partial<Values> =>
  Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Partial<Values>;

function readJson(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`${path} is not JSON: ${(error as Error).message}`);
  }
}
