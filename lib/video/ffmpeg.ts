/** Video files through an ffmpeg process: pictures out of a file, and pictures into one. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { LexisegError } from '../errors.js';
import type { RawImage } from '../image.js';
import { throwIfAborted } from '../job.js';
import { LIMITS } from '../options.js';

/** What is kept of what ffmpeg complains of, characters. */
const MOST_COMPLAINT = 4_000;

/** Every frame comes once, whatever its time; before 5.1 ffmpeg had another name for it. */
const EACH_FRAME = ['-fps_mode', 'passthrough'];
const EACH_FRAME_BEFORE_5_1 = ['-vsync', 'passthrough'];
/** What the ffmpeg of this process is told, until it says that it does not know it. */
let eachFrame = EACH_FRAME;

/**
 * The frames of a video file, in order. A consumer that is slow makes ffmpeg wait; one that stops
 * ends it.
 *
 * @throws LexisegError `ERR_VIDEO` when ffmpeg is not there or cannot read the file, and after the
 *   last whole frame where the file ends in the midst of one; `ERR_ABORTED` by the signal.
 */
export async function* readVideo(path: string, signal?: AbortSignal): AsyncGenerator<RawImage> {
  if (yield* framesTold(eachFrame, path, signal)) return;
  eachFrame = EACH_FRAME_BEFORE_5_1;
  yield* framesTold(eachFrame, path, signal);
}

/** The frames; returns whether ffmpeg knew the options at all. */
async function* framesTold(
  options: readonly string[],
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<RawImage, boolean> {
  throwIfAborted(signal);
  const input = ['-i', localFile(path), '-map', '0:v:0', ...options];
  const output = ['-f', 'image2pipe', '-c:v', 'ppm', '-pix_fmt', 'rgb24', 'pipe:1'];
  const child = start([...input, ...output], ['ignore', 'pipe', 'pipe']);
  const ended = endOf(child);
  // Awaited after the last picture; until then a failure must not count as unhandled.
  ended.catch(() => {});
  const stop = (): boolean => child.kill('SIGKILL');
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for await (const picture of picturesOf(child.stdout as Readable, path)) {
      throwIfAborted(signal);
      yield picture;
    }
    const { status, complaint } = await ended;
    // Options are read before the file is looked at.
    const unknown = complaint.startsWith("Unrecognized option 'fps_mode'");
    if (unknown && options === EACH_FRAME) return false;
    if (status !== 0 || complaint !== '') throw videoError(path, complaint || `status ${status}`);
    return true;
  } catch (error) {
    // A process that was killed leaves half a frame: that is no fault of the file.
    throwIfAborted(signal);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
    await ended.catch(() => {});
  }
}

/** Portable pixmaps as they come: "P6 WIDTH HEIGHT 255", then rgb. */
async function* picturesOf(stream: Readable, path: string): AsyncGenerator<RawImage> {
  const waiting: Buffer[] = [];
  let length = 0;
  let size: { width: number; height: number } | undefined;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    waiting.push(chunk);
    length += chunk.length;
    for (;;) {
      if (size === undefined) {
        const bytes = Buffer.concat(waiting.splice(0));
        const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString('latin1', 0, 64));
        waiting.push(header === null ? bytes : bytes.subarray(header[0].length));
        if (header === null) {
          if (bytes.length >= 64) throw videoError(path, 'ffmpeg wrote no pictures');
          break;
        }
        length -= header[0].length;
        size = { width: Number(header[1]), height: Number(header[2]) };
        checkSize(size, path);
      }
      const wanted = 3 * size.width * size.height;
      if (length < wanted) break;
      const bytes = Buffer.concat(waiting.splice(0));
      waiting.push(bytes.subarray(wanted));
      length -= wanted;
      yield { data: bytes.subarray(0, wanted), ...size, channels: 3 };
      size = undefined;
    }
  }
  if (length > 0) throw videoError(path, 'it ends in the midst of a frame');
}

function checkSize({ width, height }: { width: number; height: number }, path: string): void {
  if (width * height <= LIMITS.imagePixels && width > 0 && height > 0) return;
  throw videoError(path, `its frames have ${width} × ${height} pixels`);
}

/** Frames per second of a video file; undefined where nothing can tell. */
export async function frameRate(path: string): Promise<number | undefined> {
  const entry = ['-select_streams', 'v:0', '-show_entries', 'stream=avg_frame_rate'];
  const child = spawn('ffprobe', ['-v', 'error', ...entry, '-of', 'csv=p=0', localFile(path)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const text = await new Promise<string>((resolve) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (output.length < MOST_COMPLAINT) output += chunk.toString('latin1');
    });
    child.once('error', () => resolve(''));
    child.once('close', () => resolve(output));
  });
  const [, frames, seconds] = /^(\d+)\/(\d+)/.exec(text.trim()) ?? [];
  const rate = Number(frames) / Number(seconds);
  return Number.isFinite(rate) && rate > 0 ? rate : undefined;
}

/** Writes frames of one size as a video file (H.264, or what the file's ending asks for). */
export class VideoWriter {
  readonly #path: string;
  readonly #rate: number;
  #child: ChildProcessByStdio<Writable, null, Readable> | undefined;
  #ended: Promise<Ending> | undefined;
  #size = { width: 0, height: 0 };

  constructor(path: string, framesPerSecond: number) {
    this.#path = path;
    this.#rate = framesPerSecond;
  }

  /** Size of the frames once there is one; later ones must have it. */
  get size(): { readonly width: number; readonly height: number } | undefined {
    return this.#child === undefined ? undefined : this.#size;
  }

  /**
   * Adds a frame; settles when ffmpeg has taken it.
   *
   * @throws LexisegError `ERR_VIDEO` when ffmpeg has ended.
   */
  async write({ data, width, height }: RawImage): Promise<void> {
    const { stdin } = this.#start(width, height);
    if (width !== this.#size.width || height !== this.#size.height) {
      throw videoError(this.#path, `a frame of ${width} × ${height} among others`);
    }
    const taken = new Promise<undefined>((resolve) => stdin.write(data, () => resolve(undefined)));
    const ending = await Promise.race([taken, this.#ended]);
    if (ending !== undefined) this.#refuse(ending);
  }

  /** Ends the file; it is whole when this settles. */
  async close(): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.stdin.end();
    const ending = await (this.#ended as Promise<Ending>);
    if (ending.status !== 0) this.#refuse(ending);
  }

  #refuse({ status, complaint }: Ending): never {
    throw videoError(this.#path, complaint || `ffmpeg ended with ${status}`);
  }

  #start(width: number, height: number): ChildProcessByStdio<Writable, null, Readable> {
    if (this.#child !== undefined) return this.#child;
    this.#size = { width, height };
    const size = `${width}x${height}`;
    const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', size, '-r', `${this.#rate}`];
    // Players want even sides and this pixel format.
    const filter = 'pad=ceil(iw/2)*2:ceil(ih/2)*2';
    const output = ['-vf', filter, '-pix_fmt', 'yuv420p', '-y', localFile(this.#path)];
    const child = start([...input, '-i', 'pipe:0', ...output], ['pipe', 'ignore', 'pipe']);
    this.#child = child as ChildProcessByStdio<Writable, null, Readable>;
    this.#child.stdin.on('error', () => {});
    this.#ended = endOf(this.#child);
    this.#ended.catch(() => {});
    return this.#child;
  }
}

interface Ending {
  readonly status: number | string;
  readonly complaint: string;
}

type Child = ChildProcessByStdio<Writable | null, Readable | null, Readable>;

function start(options: readonly string[], stdio: ('ignore' | 'pipe')[]): Child {
  const quiet = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-xerror'];
  return spawn('ffmpeg', [...quiet, ...options], { stdio: stdio as never }) as unknown as Child;
}

/** A name is never taken for an option or for a protocol that reaches elsewhere. */
const localFile = (path: string): string => `file:${path}`;

async function endOf(child: Child): Promise<Ending> {
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < MOST_COMPLAINT) complaint += chunk.toString('utf8');
  });
  try {
    const [status, signal] = await once(child, 'close');
    return { status: (status ?? signal) as number | string, complaint: complaint.trim() };
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const hint = missing ? 'ffmpeg is not installed, or not in PATH' : String(cause);
    throw new LexisegError('ERR_VIDEO', hint, { cause });
  }
}

function videoError(path: string, reason: string): LexisegError {
  return new LexisegError('ERR_VIDEO', `${path}: ${reason.split('\n').slice(0, 3).join('; ')}`, {
    details: { path },
  });
}
