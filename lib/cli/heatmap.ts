/** `lexiseg heatmap`: one picture for each word, of how well every place of an image fits it. */
import type { Command } from 'commander';
import type { HeatMap } from '../index.js';
import { addBundleOptions, type BundleFlags, loadWithClasses } from './bundle-option.js';
import { InputFiles } from './input-files.js';
import { OutputFolder } from './output-folder.js';
import { formatTable, ProgressLine, plain, print } from './terminal.js';

interface HeatmapFlags extends BundleFlags {
  words: string;
  out: string;
  shared?: boolean;
  json?: boolean;
}

const HELP = `
For photo.jpg and the word "wooden floor" the picture is photo.wooden_floor.png in --out. Colours go
from the least to the largest cosine of each map; with --shared all words have one scale.

Examples:
  lexiseg heatmap photo.jpg --bundle model.pt --words "cat|kitten, sofa, wooden floor"
  lexiseg heatmap photo.jpg -b model.pt -w "dog, ball" --shared --out maps --json`;

export function addHeatmapCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('heatmap')
    .description('show where in images your words fit')
    .argument('<image...>', 'image files')
    .requiredOption('-w, --words <list>', 'words, with | between synonyms: "cat|kitten, sofa"');
  addBundleOptions(command)
    .option('-o, --out <folder>', 'folder of the pictures', 'lexiseg-out')
    .option('--shared', 'one scale for all words of an image')
    .option('--json', 'print each image as one line of JSON')
    .addHelpText('after', HELP)
    .action((images: string[], flags: HeatmapFlags) => drawAll(images, flags, signal));
}

async function drawAll(images: string[], flags: HeatmapFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const folder = new OutputFolder(flags.out, new InputFiles(images));
  const asked = { ...flags, classes: flags.words, templates: 'bundle' as const };
  const { segmenter, vocabulary } = await loadWithClasses(asked, progress, signal);
  try {
    for (const [i, image] of images.entries()) {
      progress.fraction(`looking at ${image}`, i, images.length);
      const maps = await segmenter.heatMaps(image, vocabulary, { signal });
      const stem = folder.stemFor(image);
      const range = flags.shared ? sharedRange(maps) : undefined;
      const files: string[] = [];
      for (const map of maps) {
        const name = folder.stemFor(`${stem}.${map.text.replaceAll('/', ' ')}.png`);
        files.push(await folder.write(`${name}.png`, await map.toPicture({ range, signal })));
      }
      progress.clear();
      tell(image, maps, files, flags.json === true);
    }
  } finally {
    progress.clear();
    vocabulary.dispose();
    await segmenter.dispose();
  }
}

function sharedRange(maps: readonly HeatMap[]): readonly [number, number] {
  return [Math.min(...maps.map(({ least }) => least)), Math.max(...maps.map(({ most }) => most))];
}

function tell(
  image: string,
  maps: readonly HeatMap[],
  files: readonly string[],
  json: boolean,
): void {
  if (json) {
    const words = maps.map(({ text, least, most }, i) => ({ text, least, most, file: files[i] }));
    print(JSON.stringify({ image, words }));
    return;
  }
  print(plain(image));
  const rows = maps.map(({ text, least, most }, i) => [
    plain(text),
    least.toFixed(3),
    most.toFixed(3),
    files[i] as string,
  ]);
  print(formatTable(['word', 'least', 'most', 'file'], rows));
}
