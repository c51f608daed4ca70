/** Work that Ctrl-C stops and the same command takes up again. */

/** What a shell calls the end by Ctrl-C. */
const INTERRUPTED = 130;

/**
 * Runs `work`; Ctrl-C aborts its signal, and what comes of that is told in a line.
 *
 * @param {(signal: AbortSignal) => Promise<void>} work
 */
export async function stoppable(work) {
  const controller = new AbortController();
  const stop = () => controller.abort(new Error('stopped; the same command goes on'));
  process.once('SIGINT', stop);
  try {
    await work(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    console.error(controller.signal.reason.message);
    process.exitCode = INTERRUPTED;
  } finally {
    process.off('SIGINT', stop);
  }
}
