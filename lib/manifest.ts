/** The manifest inside a bundle: its type, and the strict reading of untrusted JSON. */
import { LexisegError } from './errors.js';
import {
  booleanOf,
  checkKeys,
  fail,
  finite,
  integer,
  list,
  type Reader,
  record,
  text,
  textList,
} from './manifest-reader.js';
import { type TrainingInfo, training } from './manifest-training.js';
import type { Task } from './options.js';

export const FORMAT_VERSION = 1;

/** A class the network was trained on. */
export interface TrainingClass {
  readonly name: string;
  readonly synonyms: readonly string[];
  readonly thing: boolean;
}

export interface WeightsInfo {
  /** `random` weights see nothing: every name shown for such a bundle must say so. */
  readonly kind: 'converted' | 'random' | 'trained';
  readonly source: string;
  readonly licence: string;
  /** Lower-case hex over all records of the archive but the extra files. */
  readonly sha256: string;
  readonly dtype: 'float32' | 'bfloat16';
  readonly seed?: number;
}

export interface Manifest {
  readonly formatVersion: number;
  /** Name of the published method, for people. */
  readonly method: string;
  /** Hyper-parameters, for people. */
  readonly architecture: Readonly<Record<string, unknown>>;
  readonly methods: readonly string[];
  readonly stages: readonly string[];
  readonly tasks: readonly Task[];
  /** Submodules whose weights stay float32 whatever dtype the bundle runs in. */
  readonly keepFloat32: readonly string[];
  /** Names of the proposals tuple, in order. */
  readonly proposals: readonly string[];
  readonly embeddingDim: number;
  readonly contextLength: number;
  readonly tokenizer: {
    readonly kind: 'clip-bpe';
    readonly merges: string;
    readonly startId: number;
    readonly endId: number;
    readonly vocabSize: number;
    readonly lowerCase: boolean;
  };
  readonly image: {
    readonly sizeRule: { readonly shortestEdge: number; readonly longestEdge: number };
    readonly mean: readonly number[];
    readonly std: readonly number[];
    readonly divisor: number;
  };
  readonly promptTemplates: readonly string[];
  readonly trainingClasses: readonly TrainingClass[];
  /** Of a bundle that proposes masks. */
  readonly thresholds?: {
    readonly objectMask: number;
    readonly overlap: number;
    readonly instanceTopK: number;
  };
  /** Of a bundle that classifies masks. */
  readonly ensemble?: {
    readonly alpha: number;
    readonly beta: number;
    readonly onValidMaskOnly: boolean;
  };
  /** Of a bundle that can be trained. */
  readonly training?: TrainingInfo;
  readonly weights: WeightsInfo;
  readonly torchVersion: string;
  readonly createdBy: string;
}

const TASKS: readonly Task[] = ['semantic', 'panoptic', 'instance'];
/** What classes are given to: masks of the bundle's own, or those of another. */
const MASK_SOURCES = ['propose_masks', 'embed_masks'];
const CLASSIFY_MASKS = 'classify_masks';
const REQUIRED_PROPOSALS = ['mask_logits', 'network_size', 'valid_size'];
const REQUIRED_METHODS = ['encode_text'];
const SAFE_FILE = /^\w[\w.-]*(\/\w[\w.-]*)*$/;

/**
 * The manifest in `json`.
 *
 * @throws LexisegError `ERR_BUNDLE_MANIFEST` that names the field, or `ERR_BUNDLE_VERSION`.
 */
export function parseManifest(json: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new LexisegError('ERR_BUNDLE_MANIFEST', 'The manifest is not JSON', { cause });
  }
  const manifest = record(value, 'manifest');
  const formatVersion = integer(manifest.formatVersion, 'formatVersion', 0, 1_000_000);
  if (formatVersion !== FORMAT_VERSION) {
    throw new LexisegError(
      'ERR_BUNDLE_VERSION',
      `The bundle has format version ${formatVersion}; this package reads ${FORMAT_VERSION}`,
      { details: { formatVersion, readable: [FORMAT_VERSION] } },
    );
  }
  checkKeys(manifest, KNOWN_KEYS, 'manifest');
  const methods = including(textList(manifest.methods, 'methods', 64), REQUIRED_METHODS, 'methods');
  const masks = [...MASK_SOURCES, CLASSIFY_MASKS].some((name) => methods.includes(name));
  if (masks) {
    including(methods, [CLASSIFY_MASKS], 'methods');
    if (!MASK_SOURCES.some((name) => methods.includes(name))) {
      fail('methods', `a list with "${MASK_SOURCES.join('" or "')}"`, methods);
    }
  }
  return Object.freeze({
    formatVersion,
    method: text(manifest.method, 'method'),
    architecture: record(manifest.architecture ?? {}, 'architecture'),
    methods,
    stages: textList(manifest.stages ?? [], 'stages', 64),
    keepFloat32: textList(manifest.keepFloat32 ?? [], 'keepFloat32', 256),
    tasks: tasks(manifest.tasks),
    proposals: including(
      textList(manifest.proposals, 'proposals', 64),
      masks ? REQUIRED_PROPOSALS : [],
      'proposals',
    ),
    embeddingDim: integer(manifest.embeddingDim, 'embeddingDim', 1, 65_536),
    contextLength: integer(manifest.contextLength, 'contextLength', 3, 4_096),
    tokenizer: tokenizer(manifest.tokenizer),
    image: image(manifest.image),
    promptTemplates: promptTemplates(manifest.promptTemplates),
    trainingClasses: list(manifest.trainingClasses, 'trainingClasses', 100_000, trainingClass),
    ...(masks ? { thresholds: thresholds(manifest.thresholds) } : {}),
    ...(masks && manifest.ensemble !== undefined ? { ensemble: ensemble(manifest.ensemble) } : {}),
    ...(manifest.training === undefined ? {} : { training: training(manifest.training) }),
    weights: weights(manifest.weights),
    torchVersion: text(manifest.torchVersion, 'torchVersion'),
    createdBy: text(manifest.createdBy, 'createdBy'),
  });
}

const KNOWN_KEYS = [
  'formatVersion',
  'method',
  'architecture',
  'methods',
  'stages',
  'keepFloat32',
  'tasks',
  'proposals',
  'embeddingDim',
  'contextLength',
  'tokenizer',
  'image',
  'promptTemplates',
  'trainingClasses',
  'thresholds',
  'ensemble',
  'training',
  'weights',
  'torchVersion',
  'createdBy',
];

function including(
  names: readonly string[],
  required: readonly string[],
  path: string,
): readonly string[] {
  for (const name of required) {
    if (!names.includes(name)) fail(path, `a list with "${name}"`, names);
  }
  if (new Set(names).size !== names.length) fail(path, 'a list without repetitions', names);
  return names;
}

function tasks(value: unknown): readonly Task[] {
  return list(value, 'tasks', 16, (item, path) => {
    if (!(TASKS as readonly unknown[]).includes(item))
      fail(path, `one of ${TASKS.join(', ')}`, item);
    return item as Task;
  });
}

function tokenizer(value: unknown): Manifest['tokenizer'] {
  const fields = record(value, 'tokenizer');
  const kind = text(fields.kind, 'tokenizer.kind');
  if (kind !== 'clip-bpe') fail('tokenizer.kind', '"clip-bpe"', kind);
  const merges = text(fields.merges, 'tokenizer.merges');
  if (!SAFE_FILE.test(merges)) fail('tokenizer.merges', 'a plain relative path', merges);
  const vocabSize = integer(fields.vocabSize, 'tokenizer.vocabSize', 514, 10_000_000);
  return {
    kind: 'clip-bpe',
    merges,
    startId: integer(fields.startId, 'tokenizer.startId', 0, vocabSize - 1),
    endId: integer(fields.endId, 'tokenizer.endId', 0, vocabSize - 1),
    vocabSize,
    lowerCase: booleanOf(fields.lowerCase, 'tokenizer.lowerCase'),
  };
}

function image(value: unknown): Manifest['image'] {
  const fields = record(value, 'image');
  const rule = record(fields.sizeRule, 'image.sizeRule');
  const colour: Reader<number> = (item, path) => finite(item, path, 0, 1e6);
  return {
    sizeRule: {
      shortestEdge: integer(rule.shortestEdge, 'image.sizeRule.shortestEdge', 1, 65_535),
      longestEdge: integer(rule.longestEdge, 'image.sizeRule.longestEdge', 1, 65_535),
    },
    mean: list(fields.mean, 'image.mean', 3, colour),
    std: list(fields.std, 'image.std', 3, colour),
    divisor: integer(fields.divisor, 'image.divisor', 1, 4_096),
  };
}

function promptTemplates(value: unknown): readonly string[] {
  const templates = list(value, 'promptTemplates', 256, (item, path) => {
    const template = text(item, path);
    if (!template.includes('{}')) fail(path, 'a template with {}', template);
    return template;
  });
  if (templates.length === 0) fail('promptTemplates', 'at least one template', templates);
  return templates;
}

function trainingClass(value: unknown, path: string): TrainingClass {
  const fields = record(value, path);
  return {
    name: text(fields.name, `${path}.name`),
    synonyms: textList(fields.synonyms, `${path}.synonyms`, 10_000),
    thing: booleanOf(fields.thing, `${path}.thing`),
  };
}

function thresholds(value: unknown): NonNullable<Manifest['thresholds']> {
  const fields = record(value, 'thresholds');
  return {
    objectMask: finite(fields.objectMask, 'thresholds.objectMask', 0, 1),
    overlap: finite(fields.overlap, 'thresholds.overlap', 0, 1),
    instanceTopK: integer(fields.instanceTopK, 'thresholds.instanceTopK', 1, 100_000),
  };
}

function ensemble(value: unknown): NonNullable<Manifest['ensemble']> {
  const fields = record(value, 'ensemble');
  return {
    alpha: finite(fields.alpha, 'ensemble.alpha', 0, 1),
    beta: finite(fields.beta, 'ensemble.beta', 0, 1),
    onValidMaskOnly: booleanOf(fields.onValidMaskOnly, 'ensemble.onValidMaskOnly'),
  };
}

function weights(value: unknown): WeightsInfo {
  const fields = record(value, 'weights');
  const kind = text(fields.kind, 'weights.kind');
  if (kind !== 'converted' && kind !== 'random' && kind !== 'trained') {
    fail('weights.kind', 'one of converted, random, trained', kind);
  }
  const dtype = text(fields.dtype, 'weights.dtype');
  if (dtype !== 'float32' && dtype !== 'bfloat16') {
    fail('weights.dtype', 'one of float32, bfloat16', dtype);
  }
  const sha256 = text(fields.sha256, 'weights.sha256');
  if (!/^[0-9a-f]{64}$/.test(sha256)) fail('weights.sha256', '64 lower-case hex digits', sha256);
  return {
    kind,
    source: text(fields.source, 'weights.source'),
    licence: text(fields.licence, 'weights.licence'),
    sha256,
    dtype,
    ...(fields.seed === undefined || fields.seed === null
      ? {}
      : { seed: integer(fields.seed, 'weights.seed', 0, Number.MAX_SAFE_INTEGER) }),
  };
}
