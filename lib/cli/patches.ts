/** `lexiseg patches`: what the patches of a tower know of each other, and of words. */
import { type Command, Option } from 'commander';
import { DATASET_KINDS, type DatasetKind } from '../data/dataset-kinds.js';
import { patchFacts } from '../evaluation/patch-report-html.js';
import {
  addBundleOptions,
  type BundleFlags,
  loadBundle,
  share,
  wholeNumber,
} from './bundle-option.js';
import { openReport, writeReport } from './report-files.js';
import { formatTable, ProgressLine, print, printJson } from './terminal.js';

interface PatchFlags extends BundleFlags {
  dataset: DatasetKind;
  data: string;
  limit?: number;
  purity?: number;
  pairs?: number;
  out?: string;
  json?: boolean;
}

const HELP = `
Patch classification accuracy: the share of patches whose best word is that of their class. Semantic
coherence: how well the cosine of two patches, as the frozen tower leaves them, tells whether they are
of one class (area under the ROC curve; 0.5 is chance). Both leave out void, and the background,
which has no words either.

Files written to --out: patches.json, and patches.html with the curve.

Examples:
  lexiseg patches dense.pt --dataset voc-21 --data VOC2012 --out report
  lexiseg patches dense.pt --dataset coco-panoptic --data scenes --limit 100 --purity 0.8`;

export function addPatchesCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('patches')
    .description('measure what single patches know, before and after training')
    .argument('[bundle]', 'bundle that scores places')
    .addOption(
      new Option('--dataset <kind>', 'layout of the data')
        .choices(DATASET_KINDS)
        .makeOptionMandatory(),
    )
    .requiredOption('--data <folder>', 'where the data set is')
    .option('--limit <n>', 'look at the first n images', wholeNumber)
    .option('--purity <share>', 'of a patch that must be of one class (default: 0.5)', share)
    .option('--pairs <n>', 'pairs of patches that are compared (default: 200000)', wholeNumber)
    .option('-o, --out <folder>', 'write the report there')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HELP);
  addBundleOptions(command).action((bundle: string | undefined, flags: PatchFlags) =>
    measure({ ...flags, ...(bundle === undefined ? {} : { bundle }) }, signal),
  );
}

async function measure(flags: PatchFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { evaluatePatches, openDataset, patchReportHtml } = await import('../index.js');
  await openReport(flags.out);
  progress.step(`reading ${flags.data}`);
  const dataset = await openDataset(flags.dataset, flags.data);
  const segmenter = await loadBundle(flags, progress, signal);
  try {
    const { limit, purity, pairs } = flags;
    const report = await evaluatePatches(segmenter, dataset, {
      limit,
      purity,
      pairs,
      onProgress: ({ done, total }) => progress.fraction('looking at patches', done, total),
      signal,
    });
    progress.clear();
    if (flags.json === true) printJson(report);
    else {
      const head = [`${dataset.name}, ${report.images} images`, ''];
      print(formatTable(head, patchFacts(report)));
    }
    if (flags.out === undefined) return;
    await writeReport(flags.out, 'patches', { report, html: patchReportHtml(report) }, progress);
  } finally {
    progress.clear();
    await segmenter.dispose();
  }
}
