/** `lexiseg data`: looks at data sets before anything is trained or scored on them. */
import { type Command, Option } from 'commander';
import { DATASET_KINDS, type DatasetKind } from '../data/dataset-kinds.js';
import { EXIT } from './exit.js';
import { formatTable, ProgressLine, plain, print, printJson } from './terminal.js';

interface CheckFlags {
  dataset: DatasetKind;
  split: 'train' | 'val';
  json?: boolean;
}

const HELP = `
Reads every record, map of masks and image, and lists what is wrong: files that are missing or cut
short, unknown categories, maps of another size, ids that nothing explains. Exit status 1 when
anything is.

Layouts, below <folder>:
  coco-panoptic     panoptic.json, panoptic/, images/   or COCO 2017 as unpacked
  coco-instance     instances.json, images/             or COCO 2014 or 2017 as unpacked
  coco-stuff        val2017, stuffthingmaps/val2017 or stuffthingmaps_detectron2/val2017
  ade20k-150        images/validation, annotations/validation
  ade20k-847        images_detectron2/validation, annotations_detectron2/validation
  voc-21, voc-20    VOCdevkit/VOC2012
  context-59        images/validation, annotations_ctx59/validation
  context-459       images/validation, annotations_ctx459/validation
  cityscapes        leftImg8bit/val, gtFine/val
  mapillary-vistas  validation/images, validation/panoptic
  vipseg-frames     imgs, panomasks, val.txt: each frame as an image

Examples:
  lexiseg data check coco --dataset coco-panoptic --split train
  lexiseg data check VOCdevkit/VOC2012 --dataset voc-21 --json | jq .problems`;

/** Problems that are printed; all are in --json. */
const PRINTED = 50;

export function addDataCommand(program: Command, signal: AbortSignal): void {
  const command = program.command('data').description('look at data sets');
  command
    .command('check')
    .description('list everything that is wrong with a data set')
    .argument('<folder>', 'folder of the data set')
    .addOption(
      new Option('--dataset <kind>', 'layout of the data')
        .choices(DATASET_KINDS)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--split <name>', 'part').choices(['train', 'val']).default('val'))
    .option('--json', 'print counts and problems as JSON')
    .addHelpText('after', HELP)
    .action((folder: string, flags: CheckFlags) => check(folder, flags, signal));
}

async function check(folder: string, flags: CheckFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { checkDataset } = await import('../index.js');
  progress.step(`reading ${folder}`);
  const found = await checkDataset(flags.dataset, folder, {
    split: flags.split,
    onProgress: ({ done, total }) => progress.fraction('reading', done, total),
    signal,
  });
  progress.clear();
  if (found.problems.length > 0) process.exitCode = EXIT.failure;
  if (flags.json === true) {
    printJson(found);
    return;
  }
  const present = found.classes.filter(({ images }) => images > 0);
  const often = [...present].sort((a, b) => b.images - a.images).slice(0, 12);
  print(
    `${found.images} images, ${found.segments} segments, ${present.length} classes of ${found.classes.length} occur`,
  );
  const rows = often.map(({ name, images }) => [plain(name), String(images)]);
  if (rows.length > 0) print(`\n${formatTable(['most frequent', 'images'], rows)}`);
  if (found.problems.length === 0) {
    print('\nnothing is wrong');
    return;
  }
  print(`\n${found.problems.length} problems`);
  for (const problem of found.problems.slice(0, PRINTED)) print(plain(problem));
  if (found.problems.length > PRINTED) print('… all of them with --json');
}
