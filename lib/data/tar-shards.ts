/** Image–text samples from webdataset tar shards, read one after another. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { LexisegError } from '../errors.js';
import { throwIfAborted } from '../job.js';
import { LIMITS } from '../options.js';
import { IMAGE_EXTENSIONS, type ImageText } from './image-text-sample.js';
import { Random } from './random.js';
import type { SampleSource } from './sample-stream.js';

/** Captions lie in `KEY.txt`, or in `KEY.json` as `captions` or `caption`. */
const TEXT_EXTENSIONS = ['txt', 'json'];

/**
 * The shards of a folder. Their order changes with each epoch; inside a shard the order is kept,
 * as it was written.
 *
 * @throws LexisegError `ERR_DATA` for a folder without shards.
 */
export async function tarShards(folder: string): Promise<SampleSource<ImageText>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.tar')).sort();
  if (names.length === 0) {
    throw new LexisegError('ERR_DATA', `${folder} holds no .tar shards`, { details: { folder } });
  }
  const shards = names.map((name) => join(folder, name));
  const counts = await Promise.all(shards.map(countSamples));
  const size = counts.reduce((sum, count) => sum + count, 0);
  return {
    size,
    async *stream({ seed, wants, signal }) {
      let position = 0;
      for (let epoch = 0; ; epoch++) {
        for (const index of new Random(seed, epoch).permutation(shards.length)) {
          const count = counts[index] as number;
          const from = position;
          position += count;
          if (!anyWanted(wants, from, count)) continue;
          let place = from;
          for await (const sample of readShard(shards[index] as string, signal)) {
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
async function countSamples(path: string): Promise<number> {
  let count = 0;
  for await (const _ of readShard(path, undefined)) count++;
  if (count === 0) {
    throw new LexisegError('ERR_DATA', `${path} holds no image with a caption`, {
      details: { path },
    });
  }
  return count;
}

/** Samples of a shard in its order. */
async function* readShard(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ImageText> {
  const extract = tar.extract();
  // A broken stream ends the loop below through `extract`.
  const piped = pipeline(createReadStream(path), extract, signal ? { signal } : {});
  piped.catch(() => {});
  let key: string | undefined;
  let parts: Record<string, Buffer> = {};
  try {
    for await (const entry of extract) {
      const { name, type, size = 0 } = entry.header;
      if (type !== 'file') {
        entry.resume();
        continue;
      }
      if (size > LIMITS.imageFileBytes) throw new Error(`${name} is ${size} bytes long`);
      const [, base = name, extension = ''] = /^((?:.*\/)?[^/.]*)\.?([^/]*)$/.exec(name) ?? [];
      if (key !== undefined && base !== key) {
        yield sampleOf(path, key, parts);
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
    const { size } = await stat(path);
    throw new LexisegError(
      'ERR_DATA',
      `${path} (${size} bytes) is no whole tar file: ${(cause as Error).message}`,
      { cause, details: { path } },
    );
  }
  if (key !== undefined) yield sampleOf(path, key, parts);
}

function sampleOf(path: string, key: string, parts: Record<string, Buffer>): ImageText {
  const name = `${path}:${key}`;
  const image = IMAGE_EXTENSIONS.find((extension) => parts[extension] !== undefined);
  const text = TEXT_EXTENSIONS.find((extension) => parts[extension] !== undefined);
  if (image === undefined || text === undefined) {
    const held = Object.keys(parts).join(', ');
    throw new LexisegError('ERR_DATA', `${name} needs an image and a caption but holds ${held}`, {
      details: { path, key },
    });
  }
  const content = (parts[text] as Buffer).toString('utf8');
  const captions = text === 'txt' ? [content.trim()] : captionsOf(name, content);
  return { name, image: parts[image] as Buffer, captions };
}

function captionsOf(name: string, content: string): string[] {
  let facts: unknown;
  try {
    facts = JSON.parse(content);
  } catch (cause) {
    throw new LexisegError('ERR_DATA', `${name}.json is not JSON`, { cause, details: { name } });
  }
  const { captions, caption } = (facts ?? {}) as { captions?: unknown; caption?: unknown };
  const found = Array.isArray(captions) ? captions : [caption];
  if (found.length === 0 || !found.every((item) => typeof item === 'string')) {
    throw new LexisegError('ERR_DATA', `${name}.json has no text in "captions" or "caption"`, {
      details: { name },
    });
  }
  return found as string[];
}
