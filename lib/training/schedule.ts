/** The learning rate as a function of the step. */
import { expected, outOfRange } from '../errors.js';
import { checkOptions, integerIn, numberIn, oneOf } from '../options.js';

export interface ScheduleOptions {
  /**
   * After the warm-up: `constant`, `cosine` and `poly` fall to `final` times the base rate at the
   * last step, `step` multiplies by `factor` at each milestone. Default `cosine`.
   */
  readonly kind?: 'constant' | 'cosine' | 'poly' | 'step' | undefined;
  /** Steps over which the rate rises linearly from `warmUpFactor` times itself. Default 0. */
  readonly warmUpSteps?: number | undefined;
  /** In [0, 1]; default 0. */
  readonly warmUpFactor?: number | undefined;
  /** Of `cosine` and `poly`: share of the base rate at the end. Default 0. */
  readonly final?: number | undefined;
  /** Of `poly`; default 0.9. */
  readonly power?: number | undefined;
  /** Of `step`: updates after which the rate changes, rising. */
  readonly milestones?: readonly number[] | undefined;
  /** Of `step`; default 0.1. */
  readonly factor?: number | undefined;
}

const KEYS = ['kind', 'warmUpSteps', 'warmUpFactor', 'final', 'power', 'milestones', 'factor'];

/**
 * The factor on the base learning rate for each update, 0-based.
 *
 * @param steps updates of the whole run
 */
export function learningRateSchedule(
  options: ScheduleOptions,
  steps: number,
): (step: number) => number {
  checkOptions(options, KEYS, 'schedule');
  const kinds = ['constant', 'cosine', 'poly', 'step'] as const;
  const kind = oneOf(options.kind ?? 'cosine', kinds, 'schedule.kind');
  const warmUp = integerIn(options.warmUpSteps ?? 0, 0, 1e9, 'schedule.warmUpSteps');
  const warmUpFactor = numberIn(options.warmUpFactor ?? 0, 0, 1, 'schedule.warmUpFactor');
  const final = numberIn(options.final ?? 0, 0, 1, 'schedule.final');
  const power = numberIn(options.power ?? 0.9, 0, 100, 'schedule.power');
  const factor = numberIn(options.factor ?? 0.1, 0, 1, 'schedule.factor');
  const milestones = parseMilestones(options.milestones ?? []);

  const afterWarmUp = (step: number): number => {
    const done = Math.min(1, Math.max(0, (step - warmUp) / Math.max(1, steps - warmUp)));
    if (kind === 'cosine') return final + (1 - final) * 0.5 * (1 + Math.cos(Math.PI * done));
    if (kind === 'poly') return final + (1 - final) * (1 - done) ** power;
    if (kind === 'step') return factor ** milestones.filter((at) => step >= at).length;
    return 1;
  };
  return (step) =>
    step < warmUp
      ? warmUpFactor + (1 - warmUpFactor) * ((step + 1) / (warmUp + 1))
      : afterWarmUp(step);
}

function parseMilestones(value: unknown): number[] {
  if (!Array.isArray(value)) throw expected('an array', 'schedule.milestones', value);
  const found = value.map((step, i) => integerIn(step, 0, 1e12, `schedule.milestones[${i}]`));
  if (found.some((step, i) => i > 0 && step <= (found[i - 1] as number))) {
    throw outOfRange('rising steps', 'schedule.milestones', found.join(', '));
  }
  return found;
}
