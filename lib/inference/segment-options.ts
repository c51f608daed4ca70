/** Options of a segmentation, checked and completed from the manifest and the defaults. */
import { LexisegError } from '../errors.js';
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
  readonly thresholds: Thresholds;
  readonly resizeScores: boolean;
  readonly batchSize: number;
  readonly copy: 'auto' | 'never';
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

const KEYS = [
  'task',
  'outputSize',
  'thresholds',
  'semanticResize',
  'batchSize',
  'copy',
  'signal',
  'onProgress',
  'templates',
];
const THRESHOLD_KEYS = ['objectMask', 'overlap', 'instanceScore', 'instanceTopK'];

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
    throw new LexisegError('ERR_UNSUPPORTED', `The bundle cannot do ${task} segmentation`, {
      details: { task, tasks: manifest.tasks },
    });
  }
  const resize = options.semanticResize ?? DEFAULTS.semanticResize;
  const defaultBatch = device === 'cpu' ? DEFAULTS.batchSize.cpu : DEFAULTS.batchSize.cuda;
  checkCallback(options.onProgress, 'options.onProgress');
  return {
    task,
    outputSize:
      options.outputSize === undefined
        ? undefined
        : checkSize(options.outputSize, 'options.outputSize'),
    thresholds: parseThresholds(options.thresholds, manifest),
    resizeScores: oneOf(resize, ['scores', 'masks'], 'options.semanticResize') === 'scores',
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

function parseThresholds(given: SegmentOptions['thresholds'], manifest: Manifest): Thresholds {
  const thresholds = thresholdsOf(manifest);
  checkOptions(given, THRESHOLD_KEYS, 'options.thresholds');
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

/** Thresholds of a bundle that proposes masks, as every bundle with a task does. */
function thresholdsOf(manifest: Manifest): NonNullable<Manifest['thresholds']> {
  if (manifest.thresholds !== undefined) return manifest.thresholds;
  throw new LexisegError('ERR_UNSUPPORTED', 'The bundle proposes no masks', {
    details: { methods: manifest.methods },
  });
}
