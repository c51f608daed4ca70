/** `lexiseg doctor`: the diagnosis for people, or as JSON. */
import type { Command } from 'commander';
import { type Diagnosis, diagnose, type StageReport } from '../doctor.js';
import { EXIT } from './exit.js';
import { ProgressLine, plain, print, printJson } from './terminal.js';

export function addDoctorCommand(program: Command, signal: AbortSignal): void {
  program
    .command('doctor')
    .description('check in a child process whether lexiseg can run here, and say what to do if not')
    .option('--json', 'print the whole diagnosis as JSON')
    .addHelpText(
      'after',
      '\nExit status 0 when lexiseg can run, 3 when it cannot.\n\nExamples:\n' +
        '  lexiseg doctor\n  lexiseg doctor --json | jq .usable',
    )
    .action(async (flags: { json?: boolean }) => {
      const progress = new ProgressLine({ quiet: flags.json === true });
      progress.step('loading LibTorch and the addon in a child process');
      const diagnosis = await diagnose(signal).finally(() => progress.clear());
      if (flags.json) printJson(diagnosis);
      else printDiagnosis(diagnosis);
      if (!diagnosis.usable) process.exitCode = EXIT.unusable;
    });
}

function printDiagnosis(diagnosis: Diagnosis): void {
  for (const [name, value] of Object.entries(diagnosis.system)) {
    if (value !== null) print(`${name.padEnd(12)} ${value}`);
  }
  for (const report of diagnosis.stages) {
    print(`${report.error ? '✗' : '✓'} ${report.stage.padEnd(10)} ${describe(report)}`);
  }
  print('');
  print(diagnosis.verdict.split('\n').map(plain).join('\n'));
  if (diagnosis.remedy) print(`Next, run:\n  ${diagnosis.remedy}`);
}

function describe({ stage, facts, error }: StageReport): string {
  if (error) return error.code;
  const known = facts as Record<string, unknown>;
  switch (stage) {
    case 'binaries':
      return `${known.addon} (for LibTorch ${known.builtFor})`;
    case 'libtorch':
      return `${known.version} from ${known.source}: ${known.root}`;
    case 'addon':
      return describeAddon(known);
    default:
      return 'right';
  }
}

function describeAddon(facts: Record<string, unknown>): string {
  const devices = facts.devices as { name: string; description: string }[];
  const names = devices.map(({ name, description }) => `${name} (${description})`).join(', ');
  const reason = facts.cudaUnavailableReason ? `; no CUDA: ${facts.cudaUnavailableReason}` : '';
  const features = (facts.cpuFeatures as string[]).join(' ');
  return `torch ${facts.torch}, ${facts.threads} threads, ${features}; devices: ${names}${reason}`;
}
