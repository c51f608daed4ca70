/** Image–text samples from webdataset tar shards, read one after another. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { LexisegError } from '../errors.js';
import { throwIfAborted } from '../job.js';
import { LIMITS } from '../options.js';
import { type OnProblem, readOne } from './annotation-file.js';
import { captionsOf, IMAGE_EXTENSIONS, type ImageText } from './image-text-sample.js';
import { Random } from './random.js';
import { atMost, type SampleSource } from './sample-stream.js';

/**
 * KEY and extension of a member; as webdataset has it, one without an extension, or with a name that
 * begins with a dot, is of no sample.
 */
const MEMBER = /^(.*\/)?([^/.]*)\.([^/]+)$/;

/** Captions lie in `KEY.txt`, or in `KEY.json` as `captions` or `caption`. */
const TEXT_EXTENSIONS = ['txt', 'json'];

/**
 * The shards of a folder. Their order changes with each epoch; inside a shard the order is kept,
 * as it was written.
 *
 * @param onProblem takes what is wrong with single samples and shards, which are then left out
 * @param counting ends the counting of the samples
 * @throws LexisegError `ERR_DATA` for a folder without shards.
 */
export async function tarShards(
  folder: string,
  onProblem?: OnProblem,
  counting?: AbortSignal,
): Promise<SampleSource<ImageText>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.tar')).sort();
  if (names.length === 0) {
    refuse(`${folder} holds no .tar shards`, { folder });
  }
  const shards = names.map((name) => join(folder, name));
  // Each open shard holds a file and a member of it in memory.
  const limited = atMost(2 * availableParallelism());
  const counts = await Promise.all(
    shards.map((shard) => limited(() => countSamples(shard, onProblem, counting))),
  );
  // Whatever counting has told is left out in silence.
  const leaveOut = onProblem && (() => {});
  const size = counts.reduce((sum, count) => sum + count, 0);
  return {
    size,
    async *stream({ seed, wants, signal }) {
      let position = 0;
      for (let epoch = 0; size > 0; epoch++) {
        for (const index of new Random(seed, epoch).permutation(shards.length)) {
          const count = counts[index] as number;
          const from = position;
          position += count;
          if (!anyWanted(wants, from, count)) continue;
          let place = from;
          for await (const sample of readShard(shards[index] as string, leaveOut, signal)) {
            if (wants(place)) yield { sample, position: place };
            place++;
          }
        }
      }
    },
  };
}

function anyWanted(wants: (position: number) => boolean, from: number, count: number): boolean {
  for (let position = from; position < from + count; position++) {
    if (wants(position)) return true;
  }
  return false;
}

/** Samples in a shard, without keeping them. */
async function countSamples(
  path: string,
  onProblem: OnProblem | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  throwIfAborted(signal);
  let count = 0;
  for await (const _ of readShard(path, onProblem, signal)) count++;
  if (count === 0) {
    readOne(() => refuse(`${path} holds no image with a caption`, { path }), onProblem);
  }
  return count;
}

/** Samples of a shard in its order, up to where it breaks off. */
async function* readShard(
  path: string,
  onProblem: OnProblem | undefined,
  signal?: AbortSignal,
): AsyncGenerator<ImageText> {
  const extract = tar.extract();
  // A broken stream ends the loop below through `extract`.
  const piped = pipeline(createReadStream(path), extract, signal ? { signal } : {});
  piped.catch(() => {});
  let key: string | undefined;
  let parts: Record<string, Buffer> = {};
  const finished = (): ImageText[] => {
    const whole = key;
    if (whole === undefined) return [];
    return readOne(() => [sampleOf(path, whole, parts)], onProblem) ?? [];
  };
  try {
    for await (const entry of extract) {
      const { name, type, size = 0 } = entry.header;
      const [, folders = '', stem = '', extension] = MEMBER.exec(name) ?? [];
      if (type !== 'file' || stem === '' || extension === undefined) {
        entry.resume();
        continue;
      }
      if (size > LIMITS.imageFileBytes) throw new Error(`${name} is ${size} bytes long`);
      const base = folders + stem;
      if (base !== key) {
        yield* finished();
        parts = {};
      }
      key = base;
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      parts[extension.toLowerCase()] = Buffer.concat(chunks);
    }
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof LexisegError) throw cause;
    const found = await stat(path).catch(() => undefined);
    const bytes = found === undefined ? '' : ` (${found.size} bytes)`;
    const told = `${path}${bytes} is no whole tar file: ${(cause as Error).message}`;
    readOne(() => refuse(told, { path }, cause), onProblem);
    return;
  }
  yield* finished();
}

function sampleOf(path: string, key: string, parts: Record<string, Buffer>): ImageText {
  const name = `${path}:${key}`;
  const image = IMAGE_EXTENSIONS.find((extension) => parts[extension] !== undefined);
  const text = TEXT_EXTENSIONS.find((extension) => parts[extension] !== undefined);
  if (image === undefined || text === undefined) {
    const held = Object.keys(parts).join(', ');
    return refuse(`${name} needs an image and a caption but holds ${held}`, { path, key });
  }
  const content = (parts[text] as Buffer).toString('utf8');
  const member = `${name}.${text}`;
  const facts = text === 'txt' ? { caption: content.trim() } : factsOf(member, content);
  const captions = captionsOf(facts);
  if (captions === undefined) {
    const where = text === 'txt' ? '' : ' in "captions" or "caption"';
    return refuse(`${member} has no text${where}`, { path, key });
  }
  return { name, image: parts[image] as Buffer, captions };
}

function factsOf(member: string, content: string): object {
  try {
    return Object(JSON.parse(content));
  } catch (cause) {
    return refuse(`${member} is not JSON: ${(cause as Error).message}`, { member }, cause);
  }
}

function refuse(message: string, details: Record<string, unknown>, cause?: unknown): never {
  throw new LexisegError('ERR_DATA', message, { cause, details });
}
