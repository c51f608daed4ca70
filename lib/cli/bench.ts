/** `lexiseg bench`: how long one image takes here, by stage. It measures and judges nothing. */
import type { Command } from 'commander';
import type { Segmenter, SegmentOptions, StageTime, Vocabulary } from '../index.js';
import {
  addBundleOptions,
  addClassOptions,
  type BundleFlags,
  type ClassFlags,
  loadWithClasses,
  usualTask,
  wholeNumber,
} from './bundle-option.js';
import { UsageError } from './exit.js';
import { formatBytes, formatTable, ProgressLine, plain, print, printJson } from './terminal.js';

interface BenchFlags extends BundleFlags, ClassFlags {
  repeat: number;
  json?: boolean;
}

export function addBenchCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('bench')
    .description('time one image by stage, after a warm-up')
    .argument('<image>', 'image file');
  addBundleOptions(addClassOptions(command))
    .option('-n, --repeat <n>', 'timed runs; medians are printed', wholeNumber, 5)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  lexiseg bench photo.jpg -b model.pt -c "cat, sofa"\n' +
        '  lexiseg bench photo.jpg -b model.pt --classes-file words.txt --dtype float32 -n 10 --json',
    )
    .action((image: string, flags: BenchFlags) => bench(image, flags, signal));
}

async function bench(image: string, flags: BenchFlags, signal: AbortSignal): Promise<void> {
  if (flags.repeat < 1) throw new UsageError('--repeat takes 1 or more');
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { segmenter, vocabulary } = await loadWithClasses(flags, progress, signal);
  const options = { task: usualTask(segmenter.manifest), signal };
  try {
    const began = performance.now();
    await wholeImage(segmenter, image, vocabulary, options);
    const first = performance.now() - began;
    const wholes: number[] = [];
    const profiles: StageTime[][] = [];
    for (let i = 0; i < flags.repeat; i++) {
      progress.step(`run ${i + 1} of ${flags.repeat}`);
      wholes.push(await wholeImage(segmenter, image, vocabulary, options));
      profiles.push(await segmenter.profile(image, vocabulary, options));
    }
    progress.clear();
    const report = {
      image,
      bundle: segmenter.label,
      device: segmenter.info,
      classes: vocabulary.classes.length,
      repeat: flags.repeat,
      firstMilliseconds: first,
      medianMilliseconds: median(wholes),
      stages: medianStages(profiles),
      memory: segmenter.memoryStats(),
    };
    if (flags.json) printJson(report);
    else printReport(report);
  } finally {
    progress.clear();
    vocabulary.dispose();
    await segmenter.dispose();
  }
}

async function wholeImage(
  segmenter: Segmenter,
  image: string,
  vocabulary: Vocabulary,
  options: SegmentOptions,
): Promise<number> {
  const began = performance.now();
  const result = await segmenter.segment(image, vocabulary, options);
  result.dispose();
  return performance.now() - began;
}

function medianStages(profiles: readonly StageTime[][]): StageTime[] {
  return (profiles[0] ?? []).map(({ stage }, i) => ({
    stage,
    milliseconds: median(profiles.map((profile) => profile[i]?.milliseconds ?? 0)),
  }));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}

function printReport(report: {
  image: string;
  bundle: Segmenter['label'];
  device: Segmenter['info'];
  classes: number;
  repeat: number;
  firstMilliseconds: number;
  medianMilliseconds: number;
  stages: readonly StageTime[];
  memory: ReturnType<Segmenter['memoryStats']>;
}): void {
  const { device, stages, memory } = report;
  print(`${plain(report.image)}, ${report.classes} classes, ${report.bundle.label}`);
  print(`${device.device} ${device.dtype}: ${device.reason}`);
  const sum = stages.reduce((total, { milliseconds }) => total + milliseconds, 0);
  const rows = stages.map(({ stage, milliseconds }) => [
    stage,
    milliseconds.toFixed(1),
    `${((100 * milliseconds) / sum).toFixed(1)}%`,
  ]);
  rows.push(['sum', sum.toFixed(1), '100.0%']);
  print(formatTable(['stage', 'ms', 'share'], rows));
  print(
    `whole image ${report.medianMilliseconds.toFixed(1)} ms (median of ${report.repeat}), ` +
      `first call ${report.firstMilliseconds.toFixed(1)} ms, ` +
      `peak memory ${formatBytes(memory.peakRss)}`,
  );
}
