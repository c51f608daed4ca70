/** How fast a run goes: over its last steps, and in all. */

const WINDOW = 50;

export class Pace {
  #steps: { samples: number; elapsed: number; waited: number }[] = [];
  #elapsed = 0;

  /** Times in milliseconds. */
  add(samples: number, elapsed: number, waited: number): void {
    this.#steps.push({ samples, elapsed, waited });
    if (this.#steps.length > WINDOW) this.#steps.shift();
    this.#elapsed += elapsed;
  }

  /** Time spent in steps, seconds. */
  get seconds(): number {
    return this.#elapsed / 1000;
  }

  figures(stepsLeft: number): {
    samplesPerSecond: number;
    waiting: number;
    remainingSeconds: number;
  } {
    const sum = (key: 'samples' | 'elapsed' | 'waited'): number =>
      this.#steps.reduce((total, step) => total + step[key], 0);
    const elapsed = Math.max(sum('elapsed'), 1e-6);
    return {
      samplesPerSecond: (1000 * sum('samples')) / elapsed,
      waiting: sum('waited') / elapsed,
      remainingSeconds: (stepsLeft * elapsed) / 1000 / Math.max(1, this.#steps.length),
    };
  }
}
