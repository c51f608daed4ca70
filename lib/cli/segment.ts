/** `lexiseg segment`: images and words in, masks, pictures and numbers out. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type {
  Manifest,
  Segmentation,
  Segmenter,
  SegmentOptions,
  Task,
  Vocabulary,
} from '../index.js';
import {
  addBundleOptions,
  addClassOptions,
  type BundleFlags,
  type ClassFlags,
  loadWithClasses,
  share,
  usualTask,
} from './bundle-option.js';
import { codeOf, EXIT, printError } from './exit.js';
import { InputFiles } from './input-files.js';
import { OutputFolder } from './output-folder.js';
import { formatTable, ProgressLine, plain, print } from './terminal.js';
import { addThresholdOptions, type ThresholdFlags, thresholdsOf } from './threshold-options.js';

const KINDS = ['json', 'labels', 'coco', 'geojson', 'overlay'] as const;

type Kind = (typeof KINDS)[number];

interface SegmentFlags extends BundleFlags, ClassFlags, ThresholdFlags {
  task?: Task;
  out?: string;
  write?: Kind[];
  overlay?: boolean;
  json?: boolean;
  size?: { width: number; height: number };
  oneMask?: number;
}

const HELP = `
Files written to --out, for photo.jpg:
  json     photo.json           segments with class, score, area and box
  labels   photo.labels.png     class index of each pixel (semantic, panoptic)
  coco     photo.coco.json      COCO results with run lengths; for panoptic, COCO panoptic
           photo.panoptic.png   with its PNG of segment ids; image_id is the name or number
  geojson  photo.geojson        polygons
  overlay  photo.overlay.png    the picture under class colours, with names and a legend

Examples:
  lexiseg segment photo.jpg --bundle model.pt --classes "cat|kitten, sofa, wooden floor" --overlay
  lexiseg segment *.jpg -b model.pt --classes-file words.txt --task semantic --out masks --write labels
  lexiseg segment photo.jpg -b model.pt -c "dog, ball" --task instance --json | jq .segments`;

export function addSegmentCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('segment')
    .description('find the classes you name in images')
    .argument('<image...>', 'image files');
  addThresholdOptions(addBundleOptions(addClassOptions(command)))
    .addOption(
      new Option(
        '-t, --task <name>',
        'a class per pixel, disjoint segments, or objects (default: panoptic where the bundle can)',
      ).choices(['semantic', 'panoptic', 'instance']),
    )
    .option('-o, --out <folder>', 'write files into this folder (default for files: lexiseg-out)')
    .option(
      '--write <kinds>',
      `which files, of ${KINDS.join(',')} (default: json,labels)`,
      readKinds,
    )
    .option('--overlay', 'also write a picture with the segments drawn on it')
    .option('--json', 'print each result as one line of JSON')
    .option(
      '--one-mask <p>',
      'semantic: only the best mask of each class (of two or more), cut at p',
      share,
    )
    .option('--size <WxH>', "size of the result (default: the image's)", readSize)
    .addHelpText('after', HELP)
    .action((images: string[], flags: SegmentFlags) => segmentAll(images, flags, signal));
}

function readKinds(text: string): Kind[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !(KINDS as readonly string[]).includes(name));
  if (unknown.length > 0) throw new InvalidArgumentError(`not one of ${KINDS.join(', ')}`);
  return names as Kind[];
}

function readSize(text: string): { width: number; height: number } {
  const match = /^(\d{1,6})[x×](\d{1,6})$/i.exec(text);
  if (!match) throw new InvalidArgumentError('a size such as 640x480 is needed');
  return { width: Number(match[1]), height: Number(match[2]) };
}

async function segmentAll(
  images: string[],
  flags: SegmentFlags,
  signal: AbortSignal,
): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const kinds = kindsOf(flags);
  const folder =
    kinds.size > 0 ? new OutputFolder(flags.out ?? 'lexiseg-out', new InputFiles(images)) : null;
  const { segmenter, vocabulary } = await loadWithClasses(flags, progress, signal);
  try {
    let failures = 0;
    for (const [i, image] of images.entries()) {
      progress.step(`segmenting ${image}`);
      progress.fraction(`segmenting ${image}`, i, images.length);
      try {
        await segmentOne({ segmenter, vocabulary, image, flags, kinds, folder, progress }, signal);
      } catch (error) {
        progress.clear();
        // One picture that cannot be read must not cost the others.
        if (!codeOf(error)?.startsWith('ERR_IMAGE')) throw error;
        printError(error);
        failures++;
      }
    }
    if (failures > 0) process.exitCode = EXIT.failure;
  } finally {
    progress.clear();
    vocabulary.dispose();
    await segmenter.dispose();
  }
}

function kindsOf(flags: SegmentFlags): Set<Kind> {
  const asked = flags.write ?? (flags.out === undefined ? [] : (['json', 'labels'] as const));
  return new Set<Kind>(flags.overlay ? [...asked, 'overlay'] : asked);
}

interface OneImage {
  segmenter: Segmenter;
  vocabulary: Vocabulary;
  image: string;
  flags: SegmentFlags;
  kinds: ReadonlySet<Kind>;
  folder: OutputFolder | null;
  progress: ProgressLine;
}

async function segmentOne(work: OneImage, signal: AbortSignal): Promise<void> {
  const { segmenter, vocabulary, image, flags, progress } = work;
  const began = performance.now();
  const result: Segmentation = await segmenter.segment(image, vocabulary, {
    ...optionsOf(flags, segmenter.manifest),
    signal,
  });
  const seconds = (performance.now() - began) / 1000;
  try {
    const files = await writeFiles(work, result, signal);
    progress.clear();
    if (flags.json) print(JSON.stringify({ image, seconds, ...result.toJSON(), files }));
    else printResult(image, result, seconds, files);
  } finally {
    result.dispose();
  }
}

function optionsOf(flags: SegmentFlags, manifest: Manifest): SegmentOptions {
  return {
    task: flags.task ?? usualTask(manifest),
    outputSize: flags.size,
    thresholds: thresholdsOf(flags),
    oneMaskAt: flags.oneMask,
  };
}

async function writeFiles(
  work: OneImage,
  result: Segmentation,
  signal: AbortSignal,
): Promise<string[]> {
  const { folder, kinds, image } = work;
  if (folder === null) return [];
  const stem = folder.stemFor(image);
  const files: string[] = [];
  const save = async (name: string, content: string | Uint8Array): Promise<void> => {
    files.push(await folder.write(name, content));
  };
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  if (kinds.has('json')) await save(`${stem}.json`, json({ image, ...result.toJSON() }));
  // Instances overlap, so no pixel has one class.
  if (kinds.has('labels') && result.task !== 'instance') {
    await save(`${stem}.labels.png`, await result.toLabelPng({ signal }));
  }
  if (kinds.has('coco')) {
    const imageId = imageIdOf(stem);
    if (result.task === 'panoptic') {
      const fileName = `${stem}.panoptic.png`;
      const options = { imageId, fileName, signal };
      const { annotation, categories, png } = await result.toPanopticJson(options);
      await save(`${stem}.coco.json`, json({ annotations: [annotation], categories }));
      await save(fileName, png);
    } else {
      await save(`${stem}.coco.json`, json(await result.toCocoResults({ imageId, signal })));
    }
  }
  if (kinds.has('geojson')) await save(`${stem}.geojson`, json(await result.toGeoJson({ signal })));
  if (kinds.has('overlay')) await save(`${stem}.overlay.png`, await result.toOverlay({ signal }));
  return files;
}

/** The number of COCO's file names such as 000000000139; any other name as it is. */
function imageIdOf(stem: string): number | string {
  return /^\d+$/.test(stem) && Number.isSafeInteger(Number(stem)) ? Number(stem) : stem;
}

function printResult(
  image: string,
  result: Segmentation,
  seconds: number,
  files: readonly string[],
): void {
  const { width, height, task, bundle, segments } = result;
  print(
    `${plain(image)}: ${width}×${height}, ${task}, ${segments.length} segments, ` +
      `${seconds.toFixed(2)} s, ${bundle.label}`,
  );
  if (segments.length > 0) {
    const rows = segments.map(({ id, className, thing, score, area, box }) => [
      String(id),
      plain(className),
      thing ? 'thing' : 'stuff',
      score.toFixed(3),
      `${((100 * area) / (width * height)).toFixed(1)}%`,
      `${box.x},${box.y} ${box.width}×${box.height}`,
    ]);
    print(formatTable(['id', 'class', 'kind', 'score', 'area', 'box'], rows));
  }
  for (const file of files) print(`wrote ${file}`);
}
