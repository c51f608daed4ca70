/** Options of a segmentation, checked and completed from the manifest and the defaults. */
import { LexisegError } from '../errors.js';
import type { ImageMemory } from '../image.js';
import type { Manifest } from '../manifest.js';
import {
  checkCallback,
  checkOptions,
  checkSize,
  DEFAULTS,
  integerIn,
  LIMITS,
  numberIn,
  oneOf,
  type Progress,
  type SegmentOptions,
  type Size,
  type Task,
  type Thresholds,
} from '../options.js';

/** A segmentation request with nothing left open but the size of each image. */
export interface SegmentPlan {
  readonly task: Task;
  readonly outputSize: Size | undefined;
  /** The bundle scores places, not masks: the thresholds of masks are not read. */
  readonly dense: boolean;
  readonly thresholds: Thresholds;
  /** Pixels with more, nats, get no class. */
  readonly mostEntropy: number | undefined;
  readonly resizeScores: boolean;
  readonly oneMaskAt: number | undefined;
  readonly batchSize: number;
  readonly copy: ImageMemory;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

const KEYS = [
  'task',
  'outputSize',
  'thresholds',
  'semanticResize',
  'oneMaskAt',
  'batchSize',
  'copy',
  'signal',
  'onProgress',
  'templates',
];
const MASK_THRESHOLD_KEYS = ['objectMask', 'overlap', 'instanceScore', 'instanceTopK'];
const MOST_ENTROPY = Math.log(LIMITS.classes);
/** Stands where a bundle has no masks to threshold. */
const NO_THRESHOLDS = { objectMask: 0, overlap: 0, instanceTopK: 1 };

export function parseSegmentOptions(
  options: SegmentOptions,
  manifest: Manifest,
  device: string,
): SegmentPlan {
  checkOptions(options, KEYS, 'options');
  const task = oneOf(
    options.task ?? DEFAULTS.task,
    ['semantic', 'panoptic', 'instance'],
    'options.task',
  );
  if (!manifest.tasks.includes(task)) {
    throw new LexisegError(
      'ERR_UNSUPPORTED',
      `The bundle cannot do ${task} segmentation; it does ${manifest.tasks.join(', ') || 'none'}`,
      {
        details: { task, tasks: manifest.tasks },
      },
    );
  }
  const dense = isDense(manifest);
  const entropy = options.thresholds?.entropy;
  const resize = options.semanticResize ?? DEFAULTS.semanticResize;
  const defaultBatch = device === 'cpu' ? DEFAULTS.batchSize.cpu : DEFAULTS.batchSize.cuda;
  checkCallback(options.onProgress, 'options.onProgress');
  return {
    task,
    outputSize:
      options.outputSize === undefined
        ? undefined
        : checkSize(options.outputSize, 'options.outputSize'),
    dense,
    thresholds: parseThresholds(options.thresholds, manifest, dense),
    mostEntropy:
      entropy === undefined
        ? undefined
        : numberIn(entropy, 0, MOST_ENTROPY, 'options.thresholds.entropy'),
    resizeScores: oneOf(resize, ['scores', 'masks'], 'options.semanticResize') === 'scores',
    oneMaskAt: parseOneMask(options.oneMaskAt, task, dense),
    batchSize: integerIn(
      options.batchSize ?? defaultBatch,
      1,
      LIMITS.batchSize,
      'options.batchSize',
    ),
    copy: oneOf(options.copy ?? DEFAULTS.copy, ['auto', 'never'], 'options.copy'),
    signal: options.signal,
    onProgress: options.onProgress,
  };
}

/**
 * Refuses one class where classes compete for masks: CLIP alone would find every mask as like it.
 *
 * @throws LexisegError `ERR_VOCABULARY` that says what to add.
 */
export function checkCompetition({ oneMaskAt }: SegmentPlan, classCount: number): void {
  if (oneMaskAt === undefined || classCount > 1) return;
  throw new LexisegError(
    'ERR_VOCABULARY',
    'options.oneMaskAt needs two classes or more, which compete for masks; ' +
      'for one thing alone, add a class for the rest, as "others"',
    { details: { classes: classCount } },
  );
}

function parseOneMask(value: number | undefined, task: Task, dense: boolean): number | undefined {
  if (value === undefined) return undefined;
  if (task === 'semantic' && !dense) return numberIn(value, 0.001, 0.999, 'options.oneMaskAt');
  throw new LexisegError('ERR_UNSUPPORTED', 'options.oneMaskAt is for semantic maps from masks', {
    details: { task },
  });
}

function parseThresholds(
  given: SegmentOptions['thresholds'],
  manifest: Manifest,
  dense: boolean,
): Thresholds {
  const known = dense ? ['entropy'] : MASK_THRESHOLD_KEYS;
  checkOptions(given, known, 'options.thresholds');
  const thresholds = dense ? NO_THRESHOLDS : thresholdsOf(manifest);
  const share = (key: 'objectMask' | 'overlap' | 'instanceScore', value: number): number =>
    numberIn(given?.[key] ?? value, 0, 1, `options.thresholds.${key}`);
  return {
    objectMask: share('objectMask', thresholds.objectMask),
    overlap: share('overlap', thresholds.overlap),
    instanceScore: share('instanceScore', DEFAULTS.instanceScore),
    instanceTopK: integerIn(
      given?.instanceTopK ?? thresholds.instanceTopK,
      1,
      LIMITS.instanceTopK,
      'options.thresholds.instanceTopK',
    ),
  };
}

function isDense({ methods }: Manifest): boolean {
  return methods.includes('segment_dense') && !methods.includes('classify_masks');
}

/** Thresholds of a bundle that proposes masks, as every bundle with a task does. */
function thresholdsOf(manifest: Manifest): NonNullable<Manifest['thresholds']> {
  if (manifest.thresholds !== undefined) return manifest.thresholds;
  throw new LexisegError('ERR_UNSUPPORTED', 'The bundle proposes no masks', {
    details: { methods: manifest.methods },
  });
}
