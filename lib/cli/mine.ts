/** `lexiseg mine`: masked crops and the words for them, from images with captions. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { LexisegError } from '../errors.js';
import type { MiningReport } from '../index.js';
import { addBundleOptions, type BundleFlags, loadBundle, share } from './bundle-option.js';
import { formatTable, ProgressLine, plain, print } from './terminal.js';

interface MineFlags extends BundleFlags {
  out: string;
  threshold?: number;
  leastCosine?: string;
  template?: string;
  json?: boolean;
}

const HELP = `
Nouns are found in the captions by the package compromise: npm install compromise. For each, the
proposal that CLIP finds most like it is cut out. OUT gets crops/, pairs.tsv (title, filepath) and
report.json; the same command goes on where it was stopped. Train with pairs.tsv:

  lexiseg mine captions.jsonl --bundle model.pt --out pairs
  lexiseg train adapt.json --out runs/adapted      # "data": {"captions": "pairs/pairs.tsv", …}

Examples:
  lexiseg mine coco/captions.jsonl -b model.pt --out pairs
  lexiseg mine shards/ -b model.pt --out pairs --least-cosine 0.2 --template "a photo of a {}."`;

export function addMineCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('mine')
    .description('pair masks with the nouns of captions, to adapt CLIP to masked crops')
    .argument('<captions>', 'a .jsonl, .csv or .tsv file of captions, or a folder of tar shards');
  addBundleOptions(command)
    .requiredOption('-o, --out <folder>', 'folder of the pairs')
    .option('--threshold <p>', 'probability above which a pixel belongs to a mask', share)
    .option('--least-cosine <c>', 'leave out pairs that agree less, -1 to 1')
    .option('--template <text>', "text of a pair; {} is the noun (default: the bundle's first)")
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HELP)
    .action((captions: string, flags: MineFlags) => mine(captions, flags, signal));
}

async function mine(captions: string, flags: MineFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { minePairs, openCaptions } = await import('../index.js');
  const images = await openCaptions(captions, undefined, signal);
  const segmenter = await loadBundle(flags, progress, signal);
  try {
    const report = await minePairs(segmenter, images, flags.out, {
      signal,
      ...(flags.threshold === undefined ? {} : { threshold: flags.threshold }),
      ...(flags.leastCosine === undefined ? {} : { leastCosine: Number(flags.leastCosine) }),
      ...(flags.template === undefined ? {} : { template: flags.template }),
      onProgress: ({ done, total, pairs }) =>
        progress.fraction(`${pairs} pairs, looking at images`, done, total),
    });
    const file = join(flags.out, 'report.json');
    await writeFile(file, `${JSON.stringify(report, null, 2)}\n`).catch((cause: Error) => {
      throw new LexisegError('ERR_OUTPUT', `${file} was not written: ${cause.message}`, { cause });
    });
    progress.clear();
    if (flags.json) print(JSON.stringify(report));
    else tell(report, flags.out);
  } finally {
    progress.clear();
    await segmenter.dispose();
  }
}

const SHOWN = 20;

function tell(report: MiningReport, folder: string): void {
  const { images, imagesWithoutNouns, pairs, uniqueNouns, nouns } = report;
  print(`${pairs} pairs of ${uniqueNouns} nouns from ${images} images, ${imagesWithoutNouns} of`);
  print(`which gave none; in ${plain(folder)}`);
  const rows = Object.entries(nouns)
    .slice(0, SHOWN)
    .map(([noun, count]) => [plain(noun), String(count)]);
  if (rows.length > 0) print(formatTable(['noun', 'pairs'], rows));
  if (uniqueNouns > SHOWN) print(`and ${uniqueNouns - SHOWN} more nouns: see report.json`);
}
