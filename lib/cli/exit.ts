/** How the command line ends: exit codes, the one place that prints errors, and Ctrl-C. */
import { CommanderError } from 'commander';
import { reasonOf } from '../binaries.js';
import { plain } from './terminal.js';

/** Documented in README and `lexiseg --help`. */
export const EXIT = {
  success: 0,
  /** Something in the world failed: a file, a bundle, an image, memory. */
  failure: 1,
  /** The command was written wrongly. */
  usage: 2,
  /** LibTorch or the addon is missing or unusable. */
  unusable: 3,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

/** A mistake in how a command was written. */
export class UsageError extends Error {}

const SETUP_CODES = /^ERR_(LIBTORCH|NATIVE|GLIBC|UNSUPPORTED_LIBC)/;

/** Exit code for whatever a command threw. */
export function exitCodeOf(error: unknown, interrupted: boolean): number {
  if (interrupted) return EXIT.interrupted;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.success : EXIT.usage;
  if (error instanceof UsageError) return EXIT.usage;
  const code = codeOf(error);
  if (code === 'ERR_ABORTED') return EXIT.interrupted;
  if (code !== null && SETUP_CODES.test(code)) return EXIT.unusable;
  // Misuse of the library that came from the command line is the user's wording.
  if (code === null && (error instanceof TypeError || error instanceof RangeError)) {
    return /^(Expected|Unknown option)/.test(error.message) ? EXIT.usage : EXIT.failure;
  }
  return EXIT.failure;
}

/** The stable code of an error, when it has one of ours. */
export function codeOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && code.startsWith('ERR_') ? code : null;
}

/** One or a few lines on stderr; the stack only with `LEXISEG_DEBUG=1`. */
export function printError(error: unknown): void {
  const code = codeOf(error);
  const reason = reasonOf(error).split('\n').map(plain).join('\n');
  process.stderr.write(`lexiseg: ${reason}${code ? ` [${code}]` : ''}\n`);
  if (process.env.LEXISEG_DEBUG === '1' && error instanceof Error) {
    process.stderr.write(`${error.stack}\n`);
  }
}

/** A Ctrl-C may come twice, from the terminal and from whoever started this process. */
const ECHO_MS = 1_000;

/**
 * Aborts a signal at the first Ctrl-C (or SIGTERM, or the end of the terminal); another one, a second
 * later or more, ends the process at once.
 */
export function interruptible(): { signal: AbortSignal; interrupted: () => boolean } {
  const controller = new AbortController();
  let first: number | undefined;
  const stop = (): void => {
    if (first !== undefined) {
      if (performance.now() - first > ECHO_MS) process.exit(EXIT.interrupted);
      return;
    }
    first = performance.now();
    // Readers and the terminal may have ended with it; what is being saved must not.
    for (const stream of [process.stdout, process.stderr]) {
      stream.removeAllListeners('error').on('error', () => {});
    }
    process.stderr.write('\nlexiseg: stopping…\n');
    controller.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  return { signal: controller.signal, interrupted: () => first !== undefined };
}
