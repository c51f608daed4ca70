/** How the weights change: the optimiser, which groups train, and the options' checks. */
import { expected, LexisegError, outOfRange } from '../errors.js';
import type { TrainingInfo } from '../manifest-training.js';
import type { NativeParameterGroup } from '../native.js';
import { booleanValue, checkOptions, numberIn, oneOf } from '../options.js';

export interface OptimizerOptions {
  /** Default `adamw`. */
  readonly kind?: 'adamw' | 'sgd' | undefined;
  /** Of the groups that decay; default 0.05. */
  readonly weightDecay?: number | undefined;
  /** AdamW; default [0.9, 0.999]. */
  readonly betas?: readonly [number, number] | undefined;
  /** AdamW; default 1e-8. */
  readonly epsilon?: number | undefined;
  /** SGD; default 0.9. */
  readonly momentum?: number | undefined;
}

/** What a run changes about a group of the manifest. */
export interface GroupOptions {
  readonly frozen?: boolean | undefined;
  readonly learningRateMultiplier?: number | undefined;
}

/** Checked and completed. */
export interface Optimizer {
  readonly kind: 'adamw' | 'sgd';
  readonly weightDecay: number;
  readonly numbers: readonly [beta1: number, beta2: number, epsilon: number, momentum: number];
}

const DEFAULT = { weightDecay: 0.05, betas: [0.9, 0.999], epsilon: 1e-8, momentum: 0.9 } as const;

export function parseOptimizer(options: OptimizerOptions = {}, name = 'optimizer'): Optimizer {
  checkOptions(options, ['kind', 'weightDecay', 'betas', 'epsilon', 'momentum'], name);
  const betas: unknown = options.betas ?? DEFAULT.betas;
  if (!Array.isArray(betas) || betas.length !== 2) {
    throw expected('two numbers', `${name}.betas`, betas);
  }
  const beta = (index: number): number => numberIn(betas[index], 0, 0.999999, `${name}.betas`);
  return {
    kind: oneOf(options.kind ?? 'adamw', ['adamw', 'sgd'], `${name}.kind`),
    weightDecay: numberIn(
      options.weightDecay ?? DEFAULT.weightDecay,
      0,
      100,
      `${name}.weightDecay`,
    ),
    numbers: [
      beta(0),
      beta(1),
      numberIn(options.epsilon ?? DEFAULT.epsilon, 1e-30, 1, `${name}.epsilon`),
      numberIn(options.momentum ?? DEFAULT.momentum, 0, 0.999999, `${name}.momentum`),
    ],
  };
}

/** The group of the tower that embeds texts. */
const TEXT_TOWER = 'text_encoder';

/**
 * The groups that train, as the addon takes them.
 *
 * @throws RangeError for an override of a group that the manifest does not have; LexisegError
 *   `ERR_UNSUPPORTED` for a text tower that is to learn from masks.
 */
export function trainedGroups(
  { batch, groups }: TrainingInfo,
  overrides: Readonly<Record<string, GroupOptions>>,
  optimizer: Optimizer,
): NativeParameterGroup[] {
  const names = [...new Set(groups.map(({ name }) => name))];
  for (const [name, override] of Object.entries(overrides)) {
    if (!names.includes(name)) throw outOfRange(`one of ${names.join(', ')}`, 'a group', name);
    checkOptions(override, ['frozen', 'learningRateMultiplier'], `groups.${name}`);
  }
  const trained = groups
    .map((group) => ({ group, override: overrides[group.name] ?? {} }))
    .filter(
      ({ group, override }) =>
        !booleanValue(override.frozen ?? group.frozen, `groups.${group.name}.frozen`),
    );
  if (batch === 'panoptic' && trained.some(({ group }) => group.name === TEXT_TOWER)) {
    throw new LexisegError(
      'ERR_UNSUPPORTED',
      `groups.${TEXT_TOWER} cannot train on masks: the classes are embedded once, when the trainer opens`,
      { details: { group: TEXT_TOWER } },
    );
  }
  return trained.map(({ group, override }) => ({
    parameters: group.parameters,
    learningRateMultiplier: numberIn(
      override.learningRateMultiplier ?? group.learningRateMultiplier,
      0,
      1e6,
      `groups.${group.name}.learningRateMultiplier`,
    ),
    weightDecay: group.decayed ? optimizer.weightDecay : 0,
    bounds: group.bounds,
  }));
}
