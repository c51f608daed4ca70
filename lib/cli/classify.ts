/** `lexiseg classify`: which of your words whole images show, or how often that is right. */
import type { Command } from 'commander';
import { wordsOf } from '../evaluation/report-facts.js';
import type { Segmenter } from '../index.js';
import {
  addBundleOptions,
  addClassOptions,
  type BundleFlags,
  type ClassFlags,
  loadBundle,
  loadWithClasses,
  readClasses,
  wholeNumber,
} from './bundle-option.js';
import { codeOf, EXIT, printError, UsageError } from './exit.js';
import { formatTable, ProgressLine, plain, print, printJson } from './terminal.js';

interface ClassifyFlags extends BundleFlags, ClassFlags {
  data?: string;
  top?: number;
  json?: boolean;
}

const HELP = `
The bundle must classify images, as lexiseg inspect tells. With --data, images lie in a folder for
each class; the words are the names of the folders with spaces for underscores, or as many classes as
there are folders, in the order of their names.

Examples:
  lexiseg classify photo.jpg --bundle dense.pt --classes "cat|kitten, sofa, garden"
  lexiseg classify *.jpg -b dense.pt --classes-file words.txt --top 1 --json
  lexiseg classify --data imagenet/val -b dense.pt --classes-file imagenet-names.txt`;

export function addClassifyCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('classify')
    .description('say which of the classes you name whole images show, or measure it')
    .argument('[image...]', 'image files');
  addBundleOptions(addClassOptions(command))
    .option('--data <folder>', 'measure on images in a folder for each class')
    .option('--top <n>', 'classes that are told of each image (default: 5)', wholeNumber)
    .option('--json', 'print each image as one line of JSON, or the report as JSON')
    .addHelpText('after', HELP)
    .action((images: string[], flags: ClassifyFlags) => {
      if (images.length > 0 === (flags.data !== undefined)) {
        throw new UsageError('give images, or --data FOLDER');
      }
      if (flags.data !== undefined && flags.top !== undefined) {
        throw new UsageError(
          '--top is for images, not for --data: its report has the best and five',
        );
      }
      return flags.data === undefined
        ? classifyAll(images, flags, signal)
        : measure(flags.data, flags, signal);
    });
}

async function classifyAll(
  images: string[],
  flags: ClassifyFlags,
  signal: AbortSignal,
): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { segmenter, vocabulary } = await loadWithClasses(flags, progress, signal);
  try {
    for (const [i, image] of images.entries()) {
      progress.fraction(`looking at ${image}`, i, images.length);
      try {
        const [found] = await segmenter.classifyImages([image], vocabulary, { signal });
        progress.clear();
        const classes = found?.ranked(flags.top ?? 5) ?? [];
        if (flags.json) print(JSON.stringify({ image, classes }));
        else {
          const rows = classes.map(({ className, probability }) => [
            plain(className),
            percent(probability),
          ]);
          print(`${plain(image)}, ${segmenter.label.label}`);
          print(formatTable(['class', 'probability'], rows));
        }
      } catch (error) {
        progress.clear();
        // One picture that cannot be read must not cost the others.
        if (!codeOf(error)?.startsWith('ERR_IMAGE')) throw error;
        printError(error);
        process.exitCode = EXIT.failure;
      }
    }
  } finally {
    progress.clear();
    vocabulary.dispose();
    await segmenter.dispose();
  }
}

async function measure(data: string, flags: ClassifyFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const { evaluateImages, openImageFolders } = await import('../index.js');
  const dataset = openImageFolders(data);
  const named = flags.classes !== undefined || flags.classesFile !== undefined;
  const vocabulary = named ? await readClasses(flags) : undefined;
  const segmenter: Segmenter = await loadBundle(flags, progress, signal);
  try {
    const report = await evaluateImages(segmenter, dataset, {
      vocabulary,
      vocabularyName: flags.classesFile,
      templates: flags.templates,
      signal,
      onProgress: ({ done, total }) => progress.fraction('looking at images', done, total),
    });
    progress.clear();
    if (flags.json) {
      printJson(report);
      return;
    }
    const { images, top1, top5, perClass } = report;
    print(
      `${plain(report.dataset)}: ${images} images of ${perClass.length} classes, ` +
        `${segmenter.label.label}\nby ${plain(wordsOf(report))}\ntop-1 ${percent(top1)}, top-5 ${percent(top5)}`,
    );
    const rows = perClass.map((one) => [
      plain(one.name),
      String(one.images),
      ...[one.top1, one.top5].map((share) => (Number.isNaN(share) ? '-' : percent(share))),
    ]);
    print(formatTable(['class', 'images', 'top-1', 'top-5'], rows));
  } finally {
    progress.clear();
    await segmenter.dispose();
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
