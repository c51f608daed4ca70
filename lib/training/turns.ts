/** Asynchronous work that runs one after another, in the order in which it was begun. */
import { unlessAborted } from '../job.js';

export class Turns {
  /** Resolves when all that was begun so far has ended; absent when it has. */
  #last: Promise<void> | undefined;

  /**
   * Runs `work` after what was begun before it, however that ended: at once where there is nothing.
   * Rejects with `ERR_ABORTED` while it waits.
   */
  async take<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const before = this.#last;
    let end = (): void => {};
    const own = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#last = own;
    try {
      if (before !== undefined) await unlessAborted(before, signal);
      return await work();
    } finally {
      // What comes next has what was before this to wait for, also when this was given up.
      const leave = (): void => {
        if (this.#last === own) this.#last = undefined;
        end();
      };
      if (before === undefined) leave();
      else before.then(leave);
    }
  }
}
