/** Finds out, in a child process that may crash, whether lexiseg can run here, and says why not. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { packageFolder, SETUP_COMMAND } from './binaries.js';
import { glibcVersion, type Source } from './libtorch/check.js';
import { INSTALL_COMMAND } from './libtorch/find.js';

/** The steps of the probe, in order; each needs the ones before it. */
export const STAGES = ['binaries', 'libtorch', 'addon', 'self-test'] as const;

export type Stage = (typeof STAGES)[number];

/** One line of the probe. `facts` is filled when the step went well, `error` when it did not. */
export interface StageReport {
  readonly stage: Stage;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    /** Who named the LibTorch that is wrong. */
    readonly source?: Source;
  };
}

export interface Diagnosis {
  readonly usable: boolean;
  /** One sentence for people. */
  readonly verdict: string;
  /** The command to run next, when there is one. */
  readonly remedy: string | null;
  readonly system: Readonly<Record<string, string | number | null>>;
  readonly stages: readonly StageReport[];
}

const PROBE_MILLISECONDS = 120_000;

/** Never throws for a broken installation: that is what it reports. */
export async function diagnose(signal?: AbortSignal): Promise<Diagnosis> {
  const stages = await probe(signal);
  const failed = stages.find((report) => report.error !== undefined);
  return {
    usable: failed === undefined && stages.length === STAGES.length,
    verdict: failed
      ? `lexiseg cannot run here: ${failed.error?.message}`
      : 'lexiseg can run here: the addon loads and its self-test gives the right answer.',
    remedy: failed?.error ? remedyFor(failed.error) : null,
    system: describeSystem(),
    stages,
  };
}

async function probe(signal?: AbortSignal): Promise<StageReport[]> {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'doctor-probe.js');
  const child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PROBE_MILLISECONDS,
    ...(signal ? { signal } : {}),
  });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-2_000);
  });
  const ended = new Promise<string>((settle, reject) => {
    child.on('error', reject);
    child.on('close', (status, killer) => settle(killer ?? `exit status ${status}`));
  });
  // It may fail while lines are still read; the wait below tells of it.
  ended.catch(() => {});
  const stages: StageReport[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const report = parseReport(line);
    if (report) stages.push(report);
  }
  const end = await ended;
  const next = STAGES[stages.length];
  if (next !== undefined && !stages.some((report) => report.error)) {
    const message = `the process ended in the step "${next}" (${end}). ${complaints.trim()}`.trim();
    stages.push({ stage: next, error: { code: 'ERR_NATIVE_LOAD', message } });
  }
  return stages;
}

/** Other lines are what a library printed while it was being opened. */
function parseReport(line: string): StageReport | null {
  try {
    const value = JSON.parse(line) as StageReport;
    return STAGES.includes(value.stage) ? value : null;
  } catch {
    return null;
  }
}

function describeSystem(): Record<string, string | number | null> {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  return {
    lexiseg: version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    glibc: process.platform === 'linux' ? glibcVersion() : null,
    processors: availableParallelism(),
    memoryGB: Math.round(totalmem() / 1e8) / 10,
  };
}

function remedyFor({ code, source }: NonNullable<StageReport['error']>): string | null {
  switch (code) {
    case 'ERR_LIBTORCH_NOT_FOUND':
      return INSTALL_COMMAND;
    case 'ERR_LIBTORCH_VERSION':
    case 'ERR_LIBTORCH_INCOMPLETE':
    case 'ERR_LIBTORCH_PATH':
      // What a variable names wins over all that could be installed.
      return source === undefined ? null : `unset ${source}`;
    case 'ERR_NATIVE_NOT_FOUND':
      return SETUP_COMMAND;
    default:
      return null;
  }
}
