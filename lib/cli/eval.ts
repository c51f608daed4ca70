/** `lexiseg eval`: scores of a bundle on a data set, as a table, JSON and HTML. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DATASET_KINDS, type DatasetKind } from '../data/dataset-kinds.js';
import { wordsOf } from '../evaluation/report-facts.js';
import { groupTable, overallRows } from '../evaluation/score-table.js';
import type { EvaluationReport, GroupScores, Task } from '../index.js';
import { type AssociationFlags, associationOption } from './association-option.js';
import { addBundleOptions, type BundleFlags, loadBundle, wholeNumber } from './bundle-option.js';
import { type Naming, wordsFor } from './dataset-words.js';
import { scoreVideos, VIDEO_DATASET } from './eval-video.js';
import { UsageError } from './exit.js';
import { openReport, writeReport } from './report-files.js';
import { formatTable, ProgressLine, print, printJson } from './terminal.js';
import { addThresholdOptions, type ThresholdFlags, thresholdsOf } from './threshold-options.js';

const TASKS: readonly Task[] = ['panoptic', 'semantic', 'instance'];

interface EvalFlags extends BundleFlags, ThresholdFlags, AssociationFlags {
  dataset: DatasetKind | typeof VIDEO_DATASET;
  data: string;
  split: 'train' | 'val';
  task?: Task[];
  vocab?: string;
  names: Naming | 'both';
  templates: 'bundle' | 'photo' | 'bare';
  limit?: number;
  boundary?: boolean;
  background?: 'word' | 'unlabelled';
  space: 'all' | 'seen' | 'unseen';
  out?: string;
  json?: boolean;
}

const HELP = `
Files written to --out: report.json, and report.html with the worst images shown; with
--names both, one of each for either kind of names.

Examples:
  lexiseg eval model.pt --dataset coco-panoptic --data coco --vocab coco_panoptic --out report
  lexiseg eval model.pt --dataset coco-panoptic --data scenes --task panoptic --limit 200
  lexiseg eval model.pt --dataset vipseg --data VIPSeg --out report
  lexiseg eval model.pt --dataset vipseg-frames --data VIPSeg --task semantic --space unseen
  lexiseg eval model.pt --dataset coco-panoptic --data coco --vocab coco_panoptic --names both`;

export function addEvalCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('eval')
    .description('score a bundle on a data set with known masks')
    .argument('[bundle]', 'bundle to score')
    .addOption(
      new Option('--dataset <kind>', 'layout of the data')
        .choices([...DATASET_KINDS, VIDEO_DATASET])
        .makeOptionMandatory(),
    )
    .requiredOption('--data <folder>', 'where the data set is')
    .addOption(new Option('--split <name>', 'part of it').choices(['train', 'val']).default('val'))
    .option('-t, --task <names>', `of ${TASKS.join(',')} (default: all)`, readTasks)
    .option('--vocab <name>', 'shipped vocabulary or JSON file (default: the names of the data)')
    .addOption(
      new Option(
        '--names <kind>',
        'with the synonyms of the vocabulary, names alone, or both and the gap between',
      )
        .choices(['engineered', 'plain', 'both'])
        .default('engineered'),
    )
    .addOption(
      new Option('--templates <set>', 'prompt templates')
        .choices(['bundle', 'photo', 'bare'])
        .default('bundle'),
    )
    .addOption(
      new Option(
        '--background <kind>',
        'the class background is a word, or places that fit no word (beyond --entropy, or 1.5 for 20 classes)',
      ).choices(['word', 'unlabelled']),
    )
    .addOption(
      new Option('--space <group>', 'classes that are told apart; what is of others is void')
        .choices(['all', 'seen', 'unseen'])
        .default('all'),
    )
    .addOption(associationOption())
    .option('--limit <n>', 'look at the first n images', wholeNumber)
    .option('--boundary', 'also panoptic quality and average precision by boundaries')
    .option('-o, --out <folder>', 'write the report there')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HELP);
  addThresholdOptions(addBundleOptions(command)).action(
    (bundle: string | undefined, flags: EvalFlags) =>
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
  const { dataset: kind } = flags;
  if (kind === VIDEO_DATASET) return scoreVideos(flags, signal);
  if (flags.association !== undefined) {
    throw new UsageError('--association is for videos, not for images');
  }
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { evaluate, labelSpace, openDataset, reportHtml, reportPictures } = await import(
    '../index.js'
  );
  await openReport(flags.out);
  progress.step(`reading ${flags.data}`);
  const whole = await openDataset(kind, flags.data, flags.split);
  const namings: readonly Naming[] =
    flags.names === 'both' ? ['engineered', 'plain'] : [flags.names];
  const vocabularies = await Promise.all(
    namings.map((naming) => wordsFor(whole, flags.vocab, naming)),
  );
  const segmenter = await loadBundle(flags, progress, signal);
  try {
    const reports: EvaluationReport[] = [];
    for (const [index, words] of vocabularies.entries()) {
      const { dataset, vocabulary } =
        flags.space === 'all'
          ? { dataset: whole, vocabulary: words.classes }
          : labelSpace(segmenter, whole, flags.space, words.classes);
      const options = {
        vocabulary,
        templates: flags.templates,
        thresholds: thresholdsOf(flags),
        background: flags.background,
        signal,
      };
      const report = await evaluate(segmenter, dataset, {
        ...options,
        tasks: flags.task,
        vocabularyName:
          flags.space === 'all' ? words.name : `${words.name}, ${flags.space} classes`,
        limit: flags.limit,
        boundary: flags.boundary,
        onProgress: ({ done, total }) => progress.fraction('scoring', done, total),
      });
      progress.clear();
      reports.push(report);
      if (flags.json !== true) print(`${summary(report)}\n`);
      if (flags.out === undefined) continue;
      const stem = namings.length > 1 ? `report-${namings[index]}` : 'report';
      const pictures = await reportPictures(segmenter, dataset, report, options);
      const html = reportHtml(report, pictures);
      await writeReport(flags.out, stem, { report, html }, progress);
    }
    const [first, second] = reports as [EvaluationReport, EvaluationReport?];
    if (flags.json === true) printJson(second === undefined ? first : reports);
    else if (second !== undefined) print(gap(first, second));
  } finally {
    await segmenter.dispose();
  }
}

/** What the synonyms are worth. */
function gap(engineered: EvaluationReport, plain: EvaluationReport): string {
  const difference = (a: number | undefined, b: number | undefined): string =>
    a === undefined || b === undefined || Number.isNaN(a - b) ? '–' : (100 * (a - b)).toFixed(1);
  const names = Object.keys(engineered.groups) as (keyof EvaluationReport['groups'])[];
  const rows = names.map((name) => {
    const { panoptic, semantic, instance } = engineered.groups[name] as GroupScores;
    const other = plain.groups[name] as GroupScores;
    return [
      name,
      difference(panoptic?.pq, other.panoptic?.pq),
      difference(semantic?.miou, other.semantic?.miou),
      difference(instance?.ap, other.instance?.ap),
    ];
  });
  const table = formatTable(['classes', 'PQ', 'mIoU', 'AP'], rows);
  return `engineered names less plain names\n\n${table}`;
}

function summary(report: EvaluationReport): string {
  const { inference, scoring } = report.seconds;
  return [
    `${report.dataset}, ${report.images} images, ${wordsOf(report)}`,
    formatTable(...groupTable(report)),
    formatTable(['all together', ''], overallRows(report)),
    `${inference.toFixed(1)} s in the network, ${scoring.toFixed(1)} s in scoring`,
  ].join('\n\n');
}
