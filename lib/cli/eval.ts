/** `lexiseg eval`: scores of a bundle on a data set, as a table, JSON and HTML. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DATASET_KINDS, type DatasetKind } from '../data/dataset-kinds.js';
import type { EvaluationReport, GroupScores, LoadOptions, Task } from '../index.js';
import {
  addBundleOptions,
  type BundleFlags,
  bundlePath,
  warnOfRandomWeights,
  wholeNumber,
} from './bundle-option.js';
import { OutputFolder } from './output-folder.js';
import { formatTable, ProgressLine, print, printJson } from './terminal.js';

const TASKS: readonly Task[] = ['panoptic', 'semantic', 'instance'];

interface EvalFlags extends BundleFlags {
  dataset: DatasetKind;
  data: string;
  split: 'train' | 'val';
  task?: Task[];
  vocab?: string;
  names: 'engineered' | 'plain';
  templates: 'bundle' | 'photo' | 'bare';
  limit?: number;
  boundary?: boolean;
  out?: string;
  json?: boolean;
}

const HELP = `
Files written to --out: report.json, and report.html with the worst images shown.

Examples:
  lexiseg eval model.pt --dataset coco-panoptic --data coco --vocab coco_panoptic --out report
  lexiseg eval model.pt --dataset coco-panoptic --data scenes --task panoptic --limit 200
  lexiseg eval model.pt --dataset coco-panoptic --data coco --vocab coco_panoptic --names plain --json`;

export function addEvalCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('eval')
    .description('score a bundle on a data set with known masks')
    .argument('[bundle]', 'bundle to score')
    .addOption(
      new Option('--dataset <kind>', 'layout of the data')
        .choices(DATASET_KINDS)
        .makeOptionMandatory(),
    )
    .requiredOption('--data <folder>', 'where the data set is')
    .addOption(new Option('--split <name>', 'part of it').choices(['train', 'val']).default('val'))
    .option('-t, --task <names>', `of ${TASKS.join(',')} (default: all)`, readTasks)
    .option('--vocab <name>', 'shipped vocabulary or JSON file (default: the names of the data)')
    .addOption(
      new Option('--names <kind>', 'with the synonyms of the vocabulary, or names alone')
        .choices(['engineered', 'plain'])
        .default('engineered'),
    )
    .addOption(
      new Option('--templates <set>', 'prompt templates')
        .choices(['bundle', 'photo', 'bare'])
        .default('bundle'),
    )
    .option('--limit <n>', 'look at the first n images', wholeNumber)
    .option('--boundary', 'also panoptic quality by boundaries')
    .option('-o, --out <folder>', 'write the report there')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HELP);
  addBundleOptions(command).action((bundle: string | undefined, flags: EvalFlags) =>
    score({ ...flags, ...(bundle === undefined ? {} : { bundle }) }, signal),
  );
}

function readTasks(text: string): Task[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !(TASKS as readonly string[]).includes(name));
  if (unknown.length > 0) throw new InvalidArgumentError(`not one of ${TASKS.join(', ')}`);
  return names as Task[];
}

async function score(flags: EvalFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { evaluate, openDataset, readVocabulary, reportHtml, reportPictures, Segmenter } =
    await import('../index.js');
  progress.step(`reading ${flags.data}`);
  const dataset = await openDataset(flags.dataset, flags.data, flags.split);
  const words = flags.vocab === undefined ? undefined : readVocabulary(flags.vocab, flags.names);
  const path = bundlePath(flags);
  progress.step(`loading ${path}`);
  const segmenter = await Segmenter.load(path, {
    device: flags.device as NonNullable<LoadOptions['device']>,
    dtype: flags.dtype as NonNullable<LoadOptions['dtype']>,
    threads: flags.threads,
    verify: flags.verify === true,
    cache: flags.cache,
    signal,
  });
  try {
    warnOfRandomWeights(segmenter.label, progress);
    const options = { vocabulary: words?.classes, templates: flags.templates, signal };
    const report = await evaluate(segmenter, dataset, {
      ...options,
      tasks: flags.task,
      vocabularyName: words?.name,
      limit: flags.limit,
      boundary: flags.boundary,
      onProgress: ({ done, total }) => progress.fraction('scoring', done, total),
    });
    progress.clear();
    if (flags.json === true) printJson(report);
    else print(summary(report));
    if (flags.out === undefined) return;
    const folder = new OutputFolder(flags.out);
    const pictures = await reportPictures(segmenter, dataset, report, options);
    const written = [
      await folder.write('report.json', `${JSON.stringify(report, null, 1)}\n`),
      await folder.write('report.html', reportHtml(report, pictures)),
    ];
    for (const file of written) progress.step(`wrote ${file}`);
  } finally {
    await segmenter.dispose();
  }
}

const percent = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '–' : (100 * value).toFixed(1);

function summary(report: EvaluationReport): string {
  const row = ([name, scores]: [string, GroupScores]): string[] => [
    name,
    String(scores.classes),
    percent(scores.panoptic?.pq),
    percent(scores.panoptic?.sq),
    percent(scores.panoptic?.rq),
    percent(scores.semantic?.miou),
    percent(scores.semantic?.miouUnion),
    percent(scores.instance?.ap),
  ];
  const head = ['classes', 'number', 'PQ', 'SQ', 'RQ', 'mIoU', 'mIoU (union)', 'AP'];
  const { inference, scoring } = report.seconds;
  return [
    `${report.dataset}, ${report.images} images, ${report.vocabulary}`,
    formatTable(head, Object.entries(report.groups).map(row)),
    `${inference.toFixed(1)} s in the network, ${scoring.toFixed(1)} s in scoring`,
  ].join('\n\n');
}
