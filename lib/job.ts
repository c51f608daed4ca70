/** Runs native calls: cancels them by signal and gives their errors a code and the caller's stack. */
import { ERROR_CODES, type ErrorCode, expected, LexisegError } from './errors.js';
import { type NativeJob, native } from './native.js';

/**
 * Result of one native call that `signal` may cancel.
 *
 * @throws LexisegError `ERR_ABORTED` (cause: the signal's reason), or the native call's own code.
 */
export async function runJob<Result>(
  signal: AbortSignal | undefined,
  start: (job: NativeJob) => Promise<Result>,
): Promise<Result> {
  const origin = new Error('origin');
  throwIfAborted(signal);
  const job = callNative(() => native().createJob());
  const cancel = (): void => job.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await start(job);
  } catch (error) {
    if (signal?.aborted) throw aborted(signal);
    throw withCallerStack(wrapNativeError(error), origin);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** Result of a synchronous native call, its error rewrapped. */
export function callNative<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw wrapNativeError(error);
  }
}

/** Throws `ERR_ABORTED` when the signal was aborted; a TypeError when it is no AbortSignal. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  if (!(signal instanceof AbortSignal)) throw expected('an AbortSignal', 'signal', signal);
  if (signal.aborted) throw aborted(signal);
}

/** Outcome of some work, or `ERR_ABORTED` when the signal comes first. */
export function unlessAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(aborted(signal));
    const settle = (): void => signal.removeEventListener('abort', stop);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    Promise.resolve(work).finally(settle).then(resolve, reject);
  });
}

/** Lets timers and input run, then continues; throws `ERR_ABORTED` when the signal was aborted. */
export async function breathe(signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  throwIfAborted(signal);
}

function aborted(signal: AbortSignal): LexisegError {
  return new LexisegError('ERR_ABORTED', 'The call was cancelled', { cause: signal.reason });
}

/** A LexisegError for an error of the addon that carries one of our codes; others unchanged. */
export function wrapNativeError(error: unknown): unknown {
  if (error instanceof LexisegError || !(error instanceof Error)) return error;
  const { code, details } = error as { code?: unknown; details?: unknown };
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) return error;
  return new LexisegError(code as ErrorCode, error.message, {
    cause: error,
    ...(details !== null && typeof details === 'object'
      ? { details: details as Record<string, unknown> }
      : {}),
  });
}

/** An error made after an await has lost the frames of whoever started the call; put them back. */
function withCallerStack(error: unknown, origin: Error): unknown {
  if (error instanceof LexisegError && origin.stack !== undefined) {
    const frames = origin.stack.split('\n').slice(2).join('\n');
    error.stack = `${error.name} [${error.code}]: ${error.message}\n${frames}`;
  }
  return error;
}
