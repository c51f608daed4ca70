/** Where frames come from: a folder, a video file, or whatever yields images. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { expected, LexisegError } from '../errors.js';
import type { ImageInput } from '../image.js';
import { throwIfAborted, unlessAborted } from '../job.js';
import { readVideo } from './ffmpeg.js';

/**
 * A folder of images (in the order of their names, numbers by value), a video file, or an iterable
 * of images that may be endless.
 */
export type Frames = string | AsyncIterable<ImageInput> | Iterable<ImageInput>;

const PICTURES = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.avif', '.gif']);

/**
 * The frames one after the other. The signal also ends the wait for a frame that never comes.
 *
 * @throws LexisegError `ERR_VIDEO` for a folder without images or a file that is no video,
 *   `ERR_ABORTED` by the signal.
 */
export async function* openFrames(
  frames: Frames,
  signal?: AbortSignal,
): AsyncGenerator<ImageInput> {
  if (typeof frames === 'string') {
    const names = await framesOfFolder(frames);
    if (names === undefined) yield* readVideo(frames, signal);
    else yield* names;
    return;
  }
  const given = frames as Partial<AsyncIterable<ImageInput> & Iterable<ImageInput>> | null;
  if (given?.[Symbol.asyncIterator] === undefined && given?.[Symbol.iterator] === undefined) {
    throw expected('a folder, a video file or an iterable of images', 'frames', frames);
  }
  if (given[Symbol.asyncIterator] === undefined) yield* frames;
  else yield* untilAborted(frames as AsyncIterable<ImageInput>, signal);
}

async function* untilAborted<Item>(
  items: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item> {
  const iterator = items[Symbol.asyncIterator]();
  const end = async (): Promise<unknown> => iterator.return?.();
  let idle = true;
  try {
    for (;;) {
      throwIfAborted(signal);
      idle = false;
      const { done, value } = await unlessAborted(iterator.next(), signal);
      if (done) return;
      idle = true;
      yield value;
    }
  } finally {
    if (idle) await end();
    // One that still owes an item may never answer: it is told, and not waited for.
    else if (signal?.aborted) end().catch(() => {});
  }
}

/** Paths of the images of a folder in order; undefined where the path is a file. */
export async function framesOfFolder(path: string): Promise<string[] | undefined> {
  const found = await stat(path).catch((cause: Error) => {
    throw new LexisegError('ERR_VIDEO', `Cannot read ${path}: ${cause.message}`, { cause });
  });
  if (!found.isDirectory()) return undefined;
  const { compare } = new Intl.Collator('en', { numeric: true });
  const names = (await readdir(path))
    // None that a system hides ("._0001.jpg").
    .filter((name) => !name.startsWith('.') && PICTURES.has(extname(name).toLowerCase()))
    .sort(compare);
  if (names.length > 0) return names.map((name) => join(path, name));
  throw new LexisegError('ERR_VIDEO', `${path} holds no images`, { details: { path } });
}
