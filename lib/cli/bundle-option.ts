/** Options that every command with a bundle takes, and how it is loaded and named. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type {
  BundleLabel,
  Manifest,
  Segmenter,
  SegmenterOptions,
  Task,
  Vocabulary,
} from '../index.js';
import type { ClassInput } from '../vocabulary.js';
import { parseClassList, readClassFile } from './classes.js';
import { UsageError } from './exit.js';
import type { ProgressLine } from './terminal.js';

export interface BundleFlags {
  bundle?: string;
  device: string;
  dtype: string;
  threads: number;
  verify?: boolean;
  shortestEdge?: number;
  longestEdge?: number;
  alpha?: number;
  beta?: number;
  masksFrom?: string;
  cache: boolean;
}

export interface ClassFlags {
  classes?: string;
  classesFile?: string;
  templates: 'bundle' | 'photo' | 'bare';
}

export function addBundleOptions(command: Command): Command {
  return command
    .option(
      '-b, --bundle <file>',
      'bundle to run, a file or else the name of a shipped one (default: LEXISEG_BUNDLE, or demo-fc-clip)',
    )
    .option('--device <name>', 'cpu, cuda, cuda:N or auto', 'auto')
    .addOption(
      new Option('--dtype <name>', 'arithmetic')
        .choices(['auto', 'float32', 'bfloat16'])
        .default('auto'),
    )
    .option('--threads <n>', 'threads; 0 takes every processor', wholeNumber, 0)
    .option('--shortest-edge <pixels>', "of the network input (default: the bundle's)", wholeNumber)
    .option(
      '--longest-edge <pixels>',
      'cap on its longer edge, at least the shorter (default: in proportion)',
      wholeNumber,
    )
    .option('--alpha <x>', "weight of CLIP's own classifier for trained classes, 0 to 1", share)
    .option('--beta <x>', 'the same for other classes', share)
    .option('--masks-from <bundle>', 'name the masks that another bundle proposes')
    .option('--verify', "compare the weights with the bundle's SHA-256 first")
    .option('--no-cache', 'keep no text embeddings on disk');
}

export function addClassOptions(command: Command): Command {
  return command
    .option('-c, --classes <list>', 'classes, with | between synonyms: "cat|kitten, sofa"')
    .option('--classes-file <file>', 'one class per line, or a JSON array of names and objects')
    .addOption(
      new Option('--templates <set>', 'prompt templates')
        .choices(['bundle', 'photo', 'bare'])
        .default('bundle'),
    );
}

/** Commander's reader of a whole number that is not negative. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is needed');
  return Number(text);
}

/** Commander's reader of a number that is not negative. */
export function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) {
    throw new InvalidArgumentError('a number of 0 or more is needed');
  }
  return value;
}

/** Commander's reader of a number in [0, 1]. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError('a number from 0 to 1 is needed');
  }
  return value;
}

/** What is run when nobody names a bundle. */
const USUAL_BUNDLE = 'demo-fc-clip';

/** The bundle asked for, else the usual one. */
const bundleOf = (flags: { bundle?: string }): string =>
  flags.bundle ?? (process.env.LEXISEG_BUNDLE || USUAL_BUNDLE);

/** What a bundle is asked for where nobody says: panoptic maps if it can, else its first task. */
export const usualTask = ({ tasks }: Pick<Manifest, 'tasks'>): Task | undefined =>
  tasks.includes('panoptic') ? 'panoptic' : tasks[0];

/** The classes of `--classes` and `--classes-file` together. */
export async function readClasses(flags: ClassFlags): Promise<ClassInput[]> {
  const classes: ClassInput[] = flags.classes === undefined ? [] : parseClassList(flags.classes);
  if (flags.classesFile !== undefined) classes.push(...(await readClassFile(flags.classesFile)));
  if (classes.length === 0) {
    throw new UsageError('no classes: give --classes "cat|kitten, sofa" or --classes-file FILE');
  }
  return classes;
}

/** Loads the bundle, with progress; one that it takes masks from lives as long as the process. */
export async function loadBundle(
  flags: BundleFlags,
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<Segmenter> {
  const bundle = bundleOf(flags);
  const { Segmenter } = await import('../index.js');
  const load = async (file: string, own: SegmenterOptions): Promise<Segmenter> => {
    progress.step(`loading ${file}`);
    const segmenter = await Segmenter.load(file, {
      device: flags.device as NonNullable<SegmenterOptions['device']>,
      dtype: flags.dtype as NonNullable<SegmenterOptions['dtype']>,
      threads: flags.threads,
      verify: flags.verify === true,
      cache: flags.cache,
      signal,
      ...own,
    });
    warnOfRandomWeights(segmenter.label, progress);
    return segmenter;
  };
  const { shortestEdge, longestEdge, alpha, beta, masksFrom } = flags;
  const edges = { shortestEdge, longestEdge };
  if (masksFrom === undefined) return load(bundle, { ...edges, ensemble: { alpha, beta } });
  // Such masks have no embeddings of their own: CLIP alone says what they show.
  const ensemble = { alpha: alpha ?? 1, beta: beta ?? 1 };
  return load(bundle, { ensemble, masksFrom: await load(masksFrom, edges) });
}

/** Loads the bundle and encodes the classes, with progress. */
export async function loadWithClasses(
  flags: BundleFlags & ClassFlags,
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<{ segmenter: Segmenter; vocabulary: Vocabulary }> {
  const classes = await readClasses(flags);
  const segmenter = await loadBundle(flags, progress, signal);
  progress.step(`encoding ${classes.length} classes`);
  const vocabulary = await segmenter.createVocabulary(classes, {
    templates: flags.templates,
    signal,
    onProgress: ({ done, total }) => progress.fraction('encoding classes', done, total),
  });
  return { segmenter, vocabulary };
}

/** Nobody must take the masks of a network that has learned nothing for an answer. */
export function warnOfRandomWeights(label: BundleLabel, progress: ProgressLine): void {
  if (label.weights !== 'random') return;
  progress.clear();
  process.stderr.write(
    `Note: ${label.name} has RANDOM weights. It shows that everything runs; its masks and classes ` +
      'mean nothing. Give a trained bundle with --bundle.\n',
  );
}
