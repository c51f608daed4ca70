/** `lexiseg train`: a whole run from a JSON file. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { PanopticOptions, Trainer, TrainingData, TrainingEvent } from '../index.js';
import { launched } from '../training/environment.js';
import { BEST_CHECKPOINT, keepPart, partOf } from '../training/run-folder.js';
import { Dashboard } from './dashboard.js';
import { EXIT, UsageError } from './exit.js';
import { OutputFolder } from './output-folder.js';
import { print } from './terminal.js';
import { firstName, type TrainedClasses, trainedClasses } from './train-classes.js';
import { readTrainConfig, type TrainConfig, type TrainFlags } from './train-config.js';
import { openScores } from './train-score.js';

const HELP = `
The file, here for masks; paths in it are relative to it:
  {
    "bundle": "to-train.pt",
    "data": { "dataset": "coco-panoptic", "folder": "coco", "split": "train",
              "batchSize": 8, "imageSize": { "width": 512, "height": 512 } },
    "trainer": { "precision": "bfloat16", "gradientClip": 0.01, "ema": 0.999 },
    "run": { "steps": 20000, "learningRate": 1e-4,
             "schedule": { "kind": "cosine", "warmUpSteps": 500 }, "evaluateEvery": 2000,
             "watch": "miou seen", "patience": 5 },
    "evaluate": { "dataset": "coco-panoptic", "folder": "coco", "split": "val", "limit": 500 },
    "export": { "dtype": "bfloat16" }
  }
For images with captions, "data" is { "captions": "captions.jsonl", "batchSize": 256, "imageSize": 224 }:
a JSONL or CSV file, or a folder of tar shards.
Figures to watch: pq, miou or ap of all, seen, unseen, things or stuff; by default the first there is,
such as "pq all".

Written to --out: checkpoints, events.jsonl, tensorboard/, report.html, and at the end trained.pt and,
with "evaluate", best.pt: the weights as they were where the watched figure was best.
Started by torchrun or lexiseg launch, the processes train one model on the batches of all.
The same command goes on with a run that was stopped. Where output is no terminal, each event is a
line of JSON on stdout.

Examples:
  lexiseg train fine-tune.json --out runs/first
  lexiseg launch --nproc 2 -- train fine-tune.json --out runs/two
  lexiseg train fine-tune.json --out runs/short --steps 100 --device cpu --json > events.jsonl`;

export function addTrainCommand(program: Command, signal: AbortSignal): void {
  program
    .command('train')
    .description('train a bundle on masks or captions, and write the bundle that comes out')
    .argument('<config>', 'JSON file that says what and how')
    .requiredOption('-o, --out <folder>', 'folder of the run')
    .option('-b, --bundle <file>', 'bundle to begin with, exported with --trainable')
    .option('--steps <n>', 'updates of the whole run', positive)
    .option('--learning-rate <x>', 'base learning rate', positive)
    .option('--batch-size <n>', 'images in a batch', positive)
    .option('--device <name>', 'cpu, cuda, cuda:N or auto')
    .addOption(new Option('--precision <name>', 'of products').choices(['float32', 'bfloat16']))
    .option('--threads <n>', 'threads; 0 takes every processor', Number)
    .option('--seed <n>', 'of the order of the data and everything random', Number)
    .option('--json', 'a line of JSON for each event, also on a terminal')
    .addHelpText('after', HELP)
    .action((config: string, flags: TrainFlags & { out: string; json?: boolean }) =>
      train(config, flags, signal),
    );
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('a number above 0 is needed');
  return value;
}

async function train(
  path: string,
  flags: TrainFlags & { out: string; json?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const config = readTrainConfig(path, flags);
  const folder = resolve(flags.out);
  const { TensorBoardLog, trainingReportHtml } = await import('../index.js');
  const { trainer, data, trained } = await openRun(config, signal);
  // A pipe gets its lines, whoever looks at the terminal.
  const live =
    process.stdout.isTTY === true && process.stderr.isTTY === true && flags.json !== true;
  const view = live ? new Dashboard(`${path} → ${folder}`) : undefined;
  let log: InstanceType<typeof TensorBoardLog> | undefined;
  let reason: string | undefined;
  try {
    const { evaluate: source, run } = config;
    const scored = { trainer, trained, folder, watch: run.watch, signal };
    const evaluate = source && (await openScores(source, scored));
    for await (const event of trainer.run(data, { ...run, folder, evaluate, signal })) {
      if (trainer.info.rank === 0) {
        // The folder of the run exists once the run has begun.
        log ??= new TensorBoardLog(join(folder, 'tensorboard'));
        log.add(event);
        if (view === undefined) print(JSON.stringify(event));
        else view.add(event);
      }
      if (event.type === 'end') reason = event.reason;
    }
    if (trainer.info.rank === 0) {
      const output = new OutputFolder(folder);
      const report = await output.write(
        'report.html',
        trainingReportHtml(path, readEvents(folder)),
      );
      process.stderr.write(`wrote ${report}\n`);
      if (reason !== 'cancelled') await exportBundles(trainer, folder, config.export);
    }
    if (reason === 'cancelled') {
      process.stderr.write('the same command goes on from here\n');
      process.exitCode = EXIT.interrupted;
    }
  } finally {
    log?.close();
    await data.close();
    await trainer.dispose();
  }
}

/** The weights as the run left them, and those of its best evaluation. */
async function exportBundles(
  trainer: Trainer,
  folder: string,
  options: TrainConfig['export'],
): Promise<void> {
  const write = async (name: string): Promise<void> => {
    const bundle = join(folder, name);
    await trainer.exportBundle(partOf(bundle), { ...options });
    keepPart(bundle);
    process.stderr.write(`wrote ${bundle}, step ${trainer.stepCount}\n`);
  };
  await write('trained.pt');
  const best = join(folder, BEST_CHECKPOINT);
  if (!existsSync(best)) return;
  await trainer.restore(best);
  await write('best.pt');
}

const readEvents = (folder: string): TrainingEvent[] =>
  readFileSync(join(folder, 'events.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TrainingEvent);

async function openRun(
  config: TrainConfig,
  signal: AbortSignal,
): Promise<{ trainer: Trainer; data: TrainingData; trained?: TrainedClasses }> {
  const library = await import('../index.js');
  const { openDataset, openImageText, panopticData, Trainer } = library;
  const { bundle, data, trainer: options } = config;
  const distributed = launched() ? (options?.distributed ?? true) : false;
  if ('captions' in data) {
    if (config.vocabulary !== undefined) {
      throw new UsageError('"vocabulary" is of masks; "data" has captions');
    }
    const { captions, ...rest } = data;
    const trainer = await Trainer.open(bundle, { ...options, distributed, signal });
    return { trainer, data: await openImageText(captions, trainer.tokenizer, rest) };
  }
  const { dataset: kind, folder, split = 'train', words: captions, ...rest } = data;
  if (typeof kind !== 'string' || typeof folder !== 'string') {
    throw new UsageError('"data" has neither "captions" nor "dataset" and "folder"');
  }
  const dataset = await openDataset(kind, folder, split);
  const trained = trainedClasses(dataset, config.vocabulary, library.readVocabulary);
  const { vocabulary } = trained;
  const trainer = await Trainer.open(bundle, { ...options, vocabulary, distributed, signal });
  const classes = vocabulary.map(firstName);
  const words = captions && (await library.openCaptionWords(captions, trainer.tokenizer));
  const recipe = { ...rest, classes, words } as PanopticOptions;
  return { trainer, data: panopticData(dataset, recipe), trained };
}
