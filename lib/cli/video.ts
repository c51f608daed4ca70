/** `lexiseg video`: a video and words in, maps with lasting ids and a picture that moves out. */
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { PanopticJson, PanopticSegmentation, VideoFrame } from '../index.js';
import { frameRate, VideoWriter } from '../video/ffmpeg.js';
import { framesOfFolder } from '../video/frames.js';
import { type AssociationFlags, associationOption } from './association-option.js';
import {
  addBundleOptions,
  addClassOptions,
  type BundleFlags,
  type ClassFlags,
  loadWithClasses,
  share,
  wholeNumber,
} from './bundle-option.js';
import { InputFiles } from './input-files.js';
import { OutputFolder } from './output-folder.js';
import { ProgressLine, plain, print } from './terminal.js';

const KINDS = ['json', 'panoptic', 'overlay', 'pictures'] as const;

type Kind = (typeof KINDS)[number];

interface VideoFlags extends BundleFlags, ClassFlags, AssociationFlags {
  out: string;
  write: Kind[];
  json?: boolean;
  fps?: number;
  memory?: number;
  similarity?: number;
  sceneCut?: number;
}

/** Of a folder of images, and where nobody knows better. */
const USUAL_RATE = 25;

const HELP = `
The input is a folder of images or a video file, which needs ffmpeg. Things keep their ids from frame
to frame, and across short absences; after a cut they are new ones.

Files written to --out:
  json      frames.jsonl              segments of each frame with id, class, score, area and box
  panoptic  panoptic/000000.png …     segment ids, R + 256 G + 65536 B
            panoptic.json             COCO panoptic annotations, a frame each
  overlay   overlay.mp4               the video under class colours, with names; needs ffmpeg
  pictures  overlay/000000.png …      the same, a picture for each frame

Examples:
  lexiseg video street.mp4 --bundle model.pt --classes "car|taxi, person, road" --out street
  lexiseg video frames/ -b model.pt -c "cat, dog, grass" --write json,pictures --fps 12`;

export function addVideoCommand(program: Command, signal: AbortSignal): void {
  const command = program
    .command('video')
    .description('find the classes you name in a video, and follow them')
    .argument('<input>', 'video file, or folder of frames');
  addBundleOptions(addClassOptions(command))
    .option('-o, --out <folder>', 'folder of the results', 'lexiseg-video')
    .option('--write <kinds>', `which files, of ${KINDS.join(',')}`, readKinds, [
      'json',
      'overlay',
    ] as Kind[])
    .option('--json', 'print each frame as one line of JSON')
    .option('--fps <n>', "frames per second of overlay.mp4 (default: the video's)", frequency)
    .addOption(associationOption())
    .option('--memory <frames>', 'how long a thing out of sight keeps its id', wholeNumber)
    .option('--similarity <cosine>', 'least likeness of a thing to what it was', share)
    .option('--scene-cut <share>', 'share of new colours that is a cut, 0 to 1; 1 for none', share)
    .addHelpText('after', HELP)
    .action((input: string, flags: VideoFlags) => followAll(input, flags, signal));
}

function readKinds(text: string): Kind[] {
  const names = text.split(',').map((name) => name.trim());
  const known = names.every((name) => (KINDS as readonly string[]).includes(name));
  if (!known) throw new InvalidArgumentError(`not one of ${KINDS.join(', ')}`);
  return names as Kind[];
}

function frequency(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1000))
    throw new InvalidArgumentError('a number up to 1000 is needed');
  return value;
}

async function followAll(input: string, flags: VideoFlags, signal: AbortSignal): Promise<void> {
  const progress = new ProgressLine({ quiet: flags.json === true });
  const frames = await framesOfFolder(input);
  const rate = flags.fps ?? (frames ? undefined : await frameRate(input)) ?? USUAL_RATE;
  const { segmenter, vocabulary } = await loadWithClasses(flags, progress, signal);
  const { segmentVideo } = await import('../index.js');
  const inputs = new InputFiles(frames ?? [input]);
  const files = new VideoFiles(flags.out, inputs, new Set(flags.write), rate);
  const began = performance.now();
  let count = 0;
  try {
    progress.step(`segmenting ${input}`);
    const { association, memory, similarity: leastSimilarity, sceneCut } = flags;
    for await (const frame of segmentVideo(segmenter, input, vocabulary, {
      tracking: { association, memory, leastSimilarity },
      sceneCut,
      signal,
    })) {
      try {
        await files.add(frame);
        if (flags.json) print(JSON.stringify(recordOf(frame)));
      } finally {
        frame.segmentation.dispose();
      }
      count++;
      progress.fraction(`${count} frames of ${input}`, count, frames?.length ?? null);
    }
  } finally {
    progress.clear();
    vocabulary.dispose();
    await segmenter.dispose();
    // Whatever came before an error is kept, and can be read.
    const written = await files.close();
    const seconds = (performance.now() - began) / 1000;
    if (!flags.json) {
      const things = `${files.identities} things`;
      print(
        `${plain(input)}: ${count} frames, ${things}, ${(count / seconds).toFixed(2)} frames/s`,
      );
      for (const file of written) print(`wrote ${file}`);
    }
  }
}

const nameOf = (index: number): string => `${String(index).padStart(6, '0')}.png`;

const recordOf = ({ index, cut, segmentation }: VideoFrame): object => {
  const { width, height, segments } = segmentation;
  return { frame: index, cut, width, height, segments };
};

/** What is written of a video while it comes: a video may have any length. */
class VideoFiles {
  readonly #folder: OutputFolder;
  readonly #panoptic: OutputFolder;
  readonly #pictures: OutputFolder;
  readonly #kinds: ReadonlySet<Kind>;
  readonly #rate: number;
  readonly #things = new Set<number>();
  #categories: PanopticJson['categories'] = [];
  /** What stands before the next frame of panoptic.json. */
  #before = '{"annotations":[';
  #movie: VideoWriter | undefined;

  constructor(path: string, inputs: InputFiles, kinds: ReadonlySet<Kind>, rate: number) {
    this.#folder = new OutputFolder(path, inputs);
    this.#panoptic = new OutputFolder(join(path, 'panoptic'), inputs);
    this.#pictures = new OutputFolder(join(path, 'overlay'), inputs);
    this.#kinds = kinds;
    this.#rate = rate;
  }

  /** How many different things there were. */
  get identities(): number {
    return this.#things.size;
  }

  async add(frame: VideoFrame): Promise<void> {
    const { index, segmentation } = frame;
    for (const { id, thing } of segmentation.segments) if (thing) this.#things.add(id);
    if (this.#kinds.has('json')) await this.#record(`${JSON.stringify(recordOf(frame))}\n`);
    const fileName = nameOf(index);
    if (this.#kinds.has('panoptic')) {
      const { annotation, categories, png } = await segmentation.toPanopticJson({
        imageId: index,
        fileName,
      });
      await this.#panoptic.write(fileName, png);
      const line = `${this.#before}\n${JSON.stringify(annotation)}`;
      await this.#folder.append('panoptic.json', line);
      this.#before = ',';
      this.#categories = categories;
    }
    if (this.#kinds.has('pictures')) {
      await this.#pictures.write(fileName, await segmentation.toOverlay({ ids: true }));
    }
    if (this.#kinds.has('overlay')) await this.#film(segmentation);
  }

  /** Ends every file; their paths. */
  async close(): Promise<string[]> {
    const files: string[] = [];
    try {
      if (this.#kinds.has('json')) files.push(await this.#record(''));
      if (this.#kinds.has('panoptic')) {
        const begin = this.#before === ',' ? '' : this.#before;
        const end = `${begin}\n],"categories":${JSON.stringify(this.#categories)}}\n`;
        files.push(await this.#folder.append('panoptic.json', end));
        files.push(this.#panoptic.path);
      }
    } finally {
      // ffmpeg waits for more as long as its input is open, and this process for ffmpeg.
      await this.#movie?.close();
    }
    if (this.#kinds.has('pictures')) files.push(this.#pictures.path);
    if (this.#movie !== undefined) files.push(join(this.#folder.path, 'overlay.mp4'));
    return files;
  }

  #record(line: string): Promise<string> {
    return this.#folder.append('frames.jsonl', line);
  }

  /** A frame of another size is fitted into the size of the first. */
  async #film(segmentation: PanopticSegmentation): Promise<void> {
    if (this.#movie === undefined) {
      this.#movie = new VideoWriter(await this.#folder.reserve('overlay.mp4'), this.#rate);
    }
    const { default: sharp } = await import('sharp');
    const picture = sharp(await segmentation.toOverlay({ ids: true, legend: false }));
    const { size } = this.#movie;
    const fitted = size
      ? picture.resize(size.width, size.height, { fit: 'contain', background: '#000000' })
      : picture;
    const { data, info } = await fitted.removeAlpha().raw().toBuffer({ resolveWithObject: true });
    await this.#movie.write({ data, width: info.width, height: info.height, channels: 3 });
  }
}
