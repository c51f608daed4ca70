/** Asynchronous work that runs one after another, in the order in which it was begun. */

export class Turns {
  /** Resolves when all that was begun so far has ended. */
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` after what was begun before it, however that ended. */
  async take<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.#last;
    let end = (): void => {};
    this.#last = new Promise((resolve) => {
      end = resolve;
    });
    try {
      await before;
      return await work();
    } finally {
      end();
    }
  }
}
