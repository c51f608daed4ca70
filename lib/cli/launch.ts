/** `lexiseg launch`: starts the processes of one training run on this machine, as torchrun does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { wholeNumber } from './bundle-option.js';
import { EXIT, UsageError } from './exit.js';

interface LaunchFlags {
  nproc: number;
  nodes: number;
  nodeRank: number;
  master?: string;
  restarts: number;
}

const HELP = `
Each process gets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT, and
trains on its share of every batch. When one of them fails the others are stopped; with --restarts
all begin again, from the latest checkpoint. Ctrl-C stops all of them after a checkpoint, a second
Ctrl-C at once.

What stands behind -- is a lexiseg command, or a script of your own that ends in .js or .mjs and
opens its trainer with { distributed: true }.

Examples:
  lexiseg launch --nproc 2 -- train fine-tune.json --out runs/two
  lexiseg launch --nproc 4 --nodes 2 --node-rank 0 --master 10.0.0.1:29500 -- train.mjs`;

/** Between asking a process to stop and making it stop: after Ctrl-C it ends its step and saves. */
const GRACE_MS = { interrupted: 60_000, failed: 10_000 };

export function addLaunchCommand(program: Command, signal: AbortSignal): void {
  program
    .command('launch')
    .description('start several processes that train one model')
    .argument('<command...>', 'what each of them runs')
    .requiredOption('-n, --nproc <n>', 'processes on this machine', wholeNumber)
    .option('--nodes <n>', 'machines', wholeNumber, 1)
    .option('--node-rank <n>', 'which of them this is, from 0', wholeNumber, 0)
    .option('--master <host:port>', 'where all meet: a port of machine 0')
    .option('--restarts <n>', 'times to start again after a failure', wholeNumber, 0)
    .addHelpText('after', HELP)
    .action((command: string[], flags: LaunchFlags) => launch(command, flags, signal));
}

async function launch(command: string[], flags: LaunchFlags, signal: AbortSignal): Promise<void> {
  const { nproc, nodes, nodeRank } = flags;
  if (nproc < 1 || nodes < 1 || nodeRank >= nodes) {
    throw new UsageError('--nproc and --nodes must be 1 or more, and --node-rank below --nodes');
  }
  if (nodes > 1 && flags.master === undefined) {
    throw new UsageError('--nodes above 1 needs --master <host:port>');
  }
  for (let attempt = 0; ; attempt++) {
    const [host, port] = await meetingPoint(flags.master);
    const shared = {
      WORLD_SIZE: String(nodes * nproc),
      LOCAL_WORLD_SIZE: String(nproc),
      MASTER_ADDR: host,
      MASTER_PORT: port,
      TORCHELASTIC_RESTART_COUNT: String(attempt),
    };
    const environments = Array.from({ length: nproc }, (_, i) => ({
      ...shared,
      RANK: String(nodeRank * nproc + i),
      LOCAL_RANK: String(i),
    }));
    const status = await runAll(command, environments, signal);
    process.exitCode = status !== 0 && signal.aborted ? EXIT.interrupted : status;
    // A run that someone stopped has not failed.
    const ended = status === 0 || status === EXIT.interrupted || signal.aborted;
    if (ended || attempt >= flags.restarts) return;
    process.stderr.write(`lexiseg: restart ${attempt + 1} of ${flags.restarts}\n`);
  }
}

async function meetingPoint(master: string | undefined): Promise<[host: string, port: string]> {
  if (master === undefined) return ['127.0.0.1', String(await freePort())];
  const [, host, port] = /^(.+):(\d+)$/.exec(master) ?? [];
  if (host === undefined || port === undefined) throw new UsageError('--master needs host:port');
  return [host, port];
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Resolves to the exit status of the first process that failed, or 0. */
async function runAll(
  command: readonly string[],
  environments: readonly Record<string, string>[],
  signal: AbortSignal,
): Promise<number> {
  if (signal.aborted) return EXIT.interrupted;
  const script = /\.m?js$/.test(command[0] ?? '');
  const main = script ? [] : [fileURLToPath(new URL('./main.js', import.meta.url))];
  const children = environments.map((environment) =>
    spawn(process.execPath, [...process.execArgv, ...main, ...command], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'inherit', 'inherit'],
      // A Ctrl-C of the terminal would reach them too, beside the signal that is passed on.
      detached: true,
    }),
  );
  const control = new Control(children);
  const interrupt = (): void => control.stop(GRACE_MS.interrupted);
  signal.addEventListener('abort', interrupt, { once: true });
  let first: number | undefined;
  await Promise.all(
    children.map(async (child, i) => {
      const status = await statusOf(child);
      if (status === 0 || first !== undefined) return;
      first = status;
      if (!signal.aborted) {
        process.stderr.write(`lexiseg: process ${environments[i]?.RANK} ended with ${status}\n`);
      }
      control.stop(GRACE_MS.failed);
    }),
  );
  signal.removeEventListener('abort', interrupt);
  control.close();
  return first ?? 0;
}

function statusOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code, killed) => resolve(code ?? (killed === null ? 1 : 128)));
  });
}

/** Ends processes that the terminal cannot: with this one, or asked first. */
class Control {
  readonly #children: readonly ChildProcess[];
  #deadline: NodeJS.Timeout | undefined;

  constructor(children: readonly ChildProcess[]) {
    this.#children = children;
    process.on('exit', this.#kill);
    process.on('SIGQUIT', this.#quit);
    process.on('SIGWINCH', this.#resize);
  }

  /** Asks once, since a process that is asked again leaves without a checkpoint. */
  stop(graceMs: number): void {
    if (this.#deadline !== undefined) return;
    this.#deadline = setTimeout(this.#kill, graceMs);
    for (const child of this.#children) child.kill('SIGTERM');
  }

  close(): void {
    clearTimeout(this.#deadline);
    process.off('exit', this.#kill);
    process.off('SIGQUIT', this.#quit);
    process.off('SIGWINCH', this.#resize);
  }

  readonly #kill = (): void => {
    for (const { pid, exitCode, signalCode } of this.#children) {
      if (pid === undefined || exitCode !== null || signalCode !== null) continue;
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It ended in between.
      }
    }
  };

  readonly #quit = (): void => process.exit(EXIT.interrupted);

  readonly #resize = (): void => {
    for (const child of this.#children) child.kill('SIGWINCH');
  };
}
