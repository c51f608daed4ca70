/** `lexiseg data`: looks at data sets before anything is trained or scored on them. */
import { type Command, Option } from 'commander';
import { DATASET_KINDS, type DatasetKind } from '../data/dataset-kinds.js';
import type { CaptionCheck, DatasetCheck, Progress } from '../index.js';
import { EXIT } from './exit.js';
import { formatTable, ProgressLine, plain, print, printJson } from './terminal.js';

/** Image–text data, which has no classes and no parts. */
const CAPTIONS = 'captions';

interface CheckFlags {
  dataset: DatasetKind | typeof CAPTIONS;
  split: 'train' | 'val';
  json?: boolean;
}

const HELP = `
Reads every record, map of masks, caption and image, and lists what is wrong: files that are missing
or cut short, unknown categories, maps of another size, ids that nothing explains, captions without
text. Exit status 1 when anything is.

Layouts, below <path>:
  coco-panoptic     panoptic.json, panoptic/, images/   or COCO 2017 as unpacked
  coco-instance     instances.json, images/             or COCO 2014 or 2017 as unpacked
  coco-stuff        val2017, stuffthingmaps/val2017 or stuffthingmaps_detectron2/val2017
  ade20k-150        images/validation, annotations/validation
  ade20k-847        images_detectron2/validation, annotations_detectron2/validation
  voc-21, voc-20    VOCdevkit/VOC2012
  context-59        images/validation, annotations_ctx59/validation
  context-459       images/validation, annotations_ctx459/validation
  cityscapes        leftImg8bit/val, gtFine/val
  lvis              lvis_v1_val.json beside COCO's train2017/ and val2017/
  mapillary-vistas  validation/images, validation/panoptic
  vipseg-frames     imgs, panomasks, val.txt: each frame as an image
  captions          <path> is a .jsonl, .csv or .tsv file, or a folder of tar shards

Examples:
  lexiseg data check coco --dataset coco-panoptic --split train
  lexiseg data check VOCdevkit/VOC2012 --dataset voc-21 --json | jq .problems
  lexiseg data check captions.jsonl --dataset captions`;

/** Problems that are printed; all are in --json. */
const PRINTED = 50;

export function addDataCommand(program: Command, signal: AbortSignal): void {
  const command = program.command('data').description('look at data sets');
  command
    .command('check')
    .description('list everything that is wrong with a data set')
    .argument('<path>', 'folder of the data set, or file of captions')
    .addOption(
      new Option('--dataset <kind>', 'layout of the data')
        .choices([...DATASET_KINDS, CAPTIONS])
        .makeOptionMandatory(),
    )
    .addOption(new Option('--split <name>', 'part').choices(['train', 'val']).default('val'))
    .option('--json', 'print counts and problems as JSON')
    .addHelpText('after', HELP)
    .action((path: string, flags: CheckFlags) => check(path, flags, signal));
}

async function check(path: string, flags: CheckFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const onProgress = ({ done, total }: Progress): void => progress.fraction('reading', done, total);
  const { checkCaptions, checkDataset } = await import('../index.js');
  progress.step(`reading ${path}`);
  const { dataset: kind, split } = flags;
  const found =
    kind === CAPTIONS
      ? await checkCaptions(path, { onProgress, signal })
      : await checkDataset(kind, path, { split, onProgress, signal });
  progress.clear();
  if (found.problems.length > 0) process.exitCode = EXIT.failure;
  if (flags.json === true) {
    printJson(found);
    return;
  }
  tellCounts(found);
  if (found.problems.length === 0) {
    print('\nnothing is wrong');
    return;
  }
  print(`\n${found.problems.length} problems`);
  for (const problem of found.problems.slice(0, PRINTED)) print(plain(problem));
  if (found.problems.length > PRINTED) print('… all of them with --json');
}

function tellCounts(found: DatasetCheck | CaptionCheck): void {
  if ('captions' in found) {
    print(`${found.images} images, ${found.captions} captions`);
    return;
  }
  const { images, segments, classes } = found;
  const present = classes.filter((one) => one.images > 0);
  const often = [...present].sort((a, b) => b.images - a.images).slice(0, 12);
  print(
    `${images} images, ${segments} segments, ${present.length} classes of ${classes.length} occur`,
  );
  const rows = often.map((one) => [plain(one.name), String(one.images)]);
  if (rows.length > 0) print(`\n${formatTable(['most frequent', 'images'], rows)}`);
}
