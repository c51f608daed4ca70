/** Watches a run by its evaluations: when they are due, which is the best, and when to give up. */
import { outOfRange } from '../errors.js';
import type { TrainingEvent } from './event.js';
import type { ParsedRunOptions } from './run-options.js';
import type { Trainer } from './trainer.js';

type Metrics = Readonly<Record<string, number>>;

export class Watch {
  readonly #options: ParsedRunOptions;
  /** The watched figure has been among those of an evaluation. */
  #found = false;
  #best: number | undefined;
  #worse = 0;

  /**
   * @param history events of the run so far
   * @throws RangeError when it has evaluations, and none of them the figure that is watched.
   */
  constructor(options: ParsedRunOptions, history: readonly TrainingEvent[]) {
    this.#options = options;
    const past = history.flatMap((event) => (event.type === 'evaluation' ? [event.metrics] : []));
    for (const metrics of past) this.note(metrics);
    if (past.length > 0) this.#checkFound(past.at(-1) as Metrics);
  }

  due(step: number): boolean {
    const { evaluateEvery, evaluate, steps } = this.#options;
    return evaluate !== undefined && (step % evaluateEvery === 0 || step === steps);
  }

  /** @throws RangeError at the first evaluation when it lacks the figure that is watched. */
  async evaluate(trainer: Trainer): Promise<Metrics> {
    const metrics = (await this.#options.evaluate?.(trainer)) ?? {};
    this.#found ||= this.#figure(metrics) !== undefined;
    this.#checkFound(metrics);
    return metrics;
  }

  /** Takes a result into account; true when it is the best so far. */
  note(metrics: Metrics): boolean {
    const value = this.#figure(metrics);
    this.#found ||= value !== undefined;
    // A figure may be missing for a while, or no number (null in the log): that is no progress.
    const best = typeof value === 'number' && value > (this.#best ?? Number.NEGATIVE_INFINITY);
    if (best) this.#best = value;
    this.#worse = best ? 0 : this.#worse + 1;
    return best;
  }

  /** Whether the watched figure has not risen for `patience` evaluations. */
  get exhausted(): boolean {
    const { patience } = this.#options;
    return patience > 0 && this.#worse >= patience;
  }

  #figure(metrics: Metrics): number | undefined {
    return metrics[this.#options.watch ?? Object.keys(metrics)[0] ?? ''];
  }

  #checkFound(metrics: Metrics): void {
    const { watch } = this.#options;
    if (watch === undefined || this.#found) return;
    const names = Object.keys(metrics).join(', ') || 'it gave none';
    throw outOfRange(`a figure of run.evaluate (${names})`, 'run.watch', watch);
  }
}
