/** Stages whose output is kept, with the time that each took over all the runs that it was stopped in. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** The stages of one claim, in one run of the command. */
export class Stages {
  #began = performance.now();
  #counted = new Set();
  /** Seconds of the stages, whenever they ran. */
  #kept = 0;
  /** Of these, the seconds of this run. */
  #here = 0;

  /**
   * Makes `output` unless it is there; beside it lie the seconds that this took.
   *
   * @param {string} output path of a file that is there once the stage is over
   * @param {() => Promise<unknown>} action makes it; goes on where it was stopped
   */
  async make(output, action) {
    const record = `${output}.seconds`;
    const isThere = existsSync(output);
    // Made before times were kept: nobody knows what it took.
    const before = isThere ? Number.NaN : 0;
    let seconds = existsSync(record) ? Number(readFileSync(record, 'utf8')) : before;
    if (!isThere) {
      const began = performance.now();
      try {
        await action();
      } finally {
        const own = (performance.now() - began) / 1e3;
        seconds += own;
        this.#here += own;
        writeFileSync(record, `${seconds}\n`);
      }
    }
    if (this.#counted.has(output)) return;
    this.#counted.add(output);
    this.#kept += seconds;
  }

  /** What the claim takes from nothing: its stages and the rest of this run; NaN when unknown. */
  get seconds() {
    return this.#kept + (performance.now() - this.#began) / 1e3 - this.#here;
  }
}
