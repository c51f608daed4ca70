/** The calls of an object that is taken apart only when they have settled. */
import { LexisegError } from './errors.js';

/** Counts calls in, and lets `close` wait for those that have begun. */
export class CallsInFlight {
  readonly #owner: string;
  readonly #uses: CallsInFlight | undefined;
  readonly #running = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /**
   * @param owner as errors name it, "The segmenter".
   * @param uses calls of another object that these need; it waits for them as well.
   */
  constructor(owner: string, uses?: CallsInFlight) {
    this.#owner = owner;
    this.#uses = uses;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** The result of `work`, which begins at once; rejects with `ERR_DISPOSED` after `close`. */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.closed) {
      throw new LexisegError('ERR_DISPOSED', `${this.#owner} was used after dispose`);
    }
    const call = work();
    this.#keep(call);
    return call;
  }

  /** Refuses calls from now on, and runs `free` when those in flight have settled; idempotent. */
  close(free: () => Promise<void>): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#running).then(free);
    return this.#closing;
  }

  #keep(call: Promise<unknown>): void {
    this.#running.add(call);
    const forget = (): void => {
      this.#running.delete(call);
    };
    call.then(forget, forget);
    if (this.#uses !== undefined) this.#uses.#keep(call);
  }
}
