#!/usr/bin/env node
/** The `lexiseg` command: its sub-commands, and how each of them ends. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { packageFolder } from '../binaries.js';
import { addBenchCommand } from './bench.js';
import { addClassifyCommand } from './classify.js';
import { addDataCommand } from './data.js';
import { addDoctorCommand } from './doctor.js';
import { addEvalCommand } from './eval.js';
import { EXIT, exitCodeOf, interruptible, printError, UsageError } from './exit.js';
import { addHeatmapCommand } from './heatmap.js';
import { addInspectCommand } from './inspect.js';
import { addLaunchCommand } from './launch.js';
import { addLibTorchCommand } from './libtorch.js';
import { addMineCommand } from './mine.js';
import { addPatchesCommand } from './patches.js';
import { addSegmentCommand } from './segment.js';
import { addSynonymsCommand } from './synonyms.js';
import { addTrainCommand } from './train.js';
import { addVideoCommand } from './video.js';

const HELP = `
Examples:
  lexiseg libtorch install
  lexiseg segment street.jpg --bundle model.pt --classes "car|taxi, person, road" --overlay
  lexiseg inspect model.pt
  lexiseg train fine-tune.json --out runs/first
  lexiseg eval model.pt --dataset coco-panoptic --data coco --out report

Exit status:
  0    success
  1    something failed (a file, a bundle, an image, memory)
  2    the command was written wrongly
  3    LibTorch or the addon is missing or unusable: run lexiseg doctor
  130  interrupted

LEXISEG_DEBUG=1 prints stacks of errors.`;

// A reader that has seen enough, as `| head` has, is no error: what it does not read is written nowhere,
// and the work goes on for its files.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The signal of a terminal that was closed is on its way, and ends the work in order.
    if (error.code === 'EIO' || error.code === 'EPIPE') return;
    if (stream === process.stdout) printError(error);
    process.exit(EXIT.failure);
  });
}

const { signal, interrupted } = interruptible();

try {
  const program = createProgram();
  await program.parseAsync();
} catch (error) {
  // Commander has printed its own complaint, or the help or version that was asked for.
  if (!(error instanceof CommanderError) && !interrupted()) printError(error);
  if (error instanceof UsageError) process.stderr.write('See: lexiseg --help\n');
  process.exitCode = exitCodeOf(error, interrupted());
}
if (process.exitCode === EXIT.interrupted) process.exit();

function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  const program = new Command('lexiseg')
    .description('Say in words what to look for, get masks.')
    .version(version, '-v, --version')
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', HELP);
  addSegmentCommand(program, signal);
  addVideoCommand(program, signal);
  addHeatmapCommand(program, signal);
  addClassifyCommand(program, signal);
  addTrainCommand(program, signal);
  addLaunchCommand(program, signal);
  addEvalCommand(program, signal);
  addPatchesCommand(program, signal);
  addDataCommand(program, signal);
  addInspectCommand(program, signal);
  addMineCommand(program, signal);
  addSynonymsCommand(program);
  addBenchCommand(program, signal);
  addLibTorchCommand(program, signal);
  addDoctorCommand(program, signal);
  return program;
}
