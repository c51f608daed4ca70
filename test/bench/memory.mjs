/** Memory of one piece of work, and growth over many calls. */
import { writeFileSync } from 'node:fs';
import { statusBytes } from './process.mjs';

/** Resident memory that `work` needed at its peak beyond what was resident before it. */
export async function peakGrowth(work) {
  globalThis.gc?.();
  resetPeak();
  const before = statusBytes('VmRSS');
  const started = performance.now();
  const result = await work();
  const milliseconds = performance.now() - started;
  return { result, milliseconds, bytes: statusBytes('VmHWM') - before };
}

function resetPeak() {
  writeFileSync('/proc/self/clear_refs', '5');
}

/**
 * Resident set after a warm-up and at the end of `calls` calls, with every tenth in between.
 *
 * @param {() => Promise<void>} work
 */
export async function growthOver(work, { warmUp, calls }) {
  for (let call = 0; call < warmUp; call++) await work();
  const samples = [residentNow()];
  const every = Math.max(1, Math.floor(calls / 10));
  for (let call = 1; call <= calls; call++) {
    await work();
    if (call % every === 0) samples.push(residentNow());
  }
  return { samples, growth: samples.at(-1) / samples[0] - 1 };
}

function residentNow() {
  globalThis.gc?.();
  return statusBytes('VmRSS');
}
