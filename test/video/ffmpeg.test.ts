/** Video files by way of a real ffmpeg: what is written is read, and broken files are told. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frameRate, readVideo, VideoWriter } from '../../lib/video/ffmpeg.js';
import { temporaryFolder } from '../cli/places.js';

let folder: string;
let video: string;
const SIZE = { width: 64, height: 48 };
const FRAMES = 20;

/** Frame t is of one grey, lighter from frame to frame. */
const grey = (t: number): number => 20 + 10 * t;

beforeAll(async () => {
  folder = temporaryFolder();
  video = join(folder, 'video.mp4');
  const writer = new VideoWriter(video, 10);
  for (let t = 0; t < FRAMES; t++) {
    const data = new Uint8Array(SIZE.width * SIZE.height * 3).fill(grey(t));
    await writer.write({ data, ...SIZE });
  }
  await writer.close();
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const failure = async (frames: AsyncIterable<unknown>): Promise<[count: number, error: Error]> => {
  let count = 0;
  try {
    for await (const _ of frames) count++;
  } catch (error) {
    return [count, error as Error];
  }
  throw new Error(`${count} frames and no error`);
};

describe('a video file', () => {
  it('gives back the frames that were written, in order', async () => {
    const values: number[] = [];
    for await (const { data, width, height } of readVideo(video)) {
      expect({ width, height }).toEqual(SIZE);
      values.push(data[(data.length / 2) | 0] as number);
    }
    expect(values).toHaveLength(FRAMES);
    values.forEach((value, t) => {
      expect(Math.abs(value - grey(t))).toBeLessThan(6);
    });
  });

  it('knows its frame rate', async () => {
    expect(await frameRate(video)).toBe(10);
    expect(await frameRate(join(folder, 'none.mp4'))).toBeUndefined();
  });

  it('may be left before its end', async () => {
    for await (const { width } of readVideo(video)) {
      expect(width).toBe(SIZE.width);
      break;
    }
  });

  it('refuses frames of another size and odd ends', async () => {
    const writer = new VideoWriter(join(folder, 'odd.mp4'), 5);
    await writer.write({ data: new Uint8Array(3 * 33 * 21), width: 33, height: 21 });
    const other = { data: new Uint8Array(3 * 32 * 21), width: 32, height: 21 };
    await expect(writer.write(other)).rejects.toMatchObject({ code: 'ERR_VIDEO' });
    await writer.close();
    const { value: frame } = await readVideo(join(folder, 'odd.mp4')).next();
    expect(frame).toMatchObject({ width: 34, height: 22 });
  });

  it('that ends in the midst of a frame gives its whole frames, then an error', async () => {
    const bytes = readFileSync(video);
    const cut = join(folder, 'cut.avi');
    // A container that needs no index at its end.
    const raw = join(folder, 'raw.avi');
    const writer = new VideoWriter(raw, 10);
    for (let t = 0; t < 6; t++) {
      const data = Uint8Array.from({ length: 3 * 64 * 48 }, (_, i) => (i * (t + 3)) % 251);
      await writer.write({ data, ...SIZE });
    }
    await writer.close();
    const whole = readFileSync(raw);
    writeFileSync(cut, whole.subarray(0, Math.floor(0.6 * whole.length)));
    const [count, error] = await failure(readVideo(cut));
    expect(error).toMatchObject({ code: 'ERR_VIDEO' });
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(6);
    writeFileSync(cut, bytes.subarray(0, 200));
    expect((await failure(readVideo(cut)))[1]).toMatchObject({ code: 'ERR_VIDEO' });
  });

  it.each([
    ['none.mp4', undefined],
    ['text.mp4', 'this is no video'],
    ['empty.mp4', ''],
  ])('%s is refused', async (name, content) => {
    const path = join(folder, name);
    if (content !== undefined) writeFileSync(path, content);
    const [count, error] = await failure(readVideo(path));
    expect(count).toBe(0);
    expect(error).toMatchObject({ code: 'ERR_VIDEO' });
    expect(error.message).toContain(name);
  });

  it('is left alone when the work is cancelled', async () => {
    const controller = new AbortController();
    const frames = readVideo(video, controller.signal);
    await frames.next();
    controller.abort();
    const [count, error] = await failure(frames);
    expect(count).toBeLessThan(FRAMES);
    expect(error).toMatchObject({ code: 'ERR_ABORTED' });
    const [none, before] = await failure(readVideo(video, controller.signal));
    expect(none).toBe(0);
    expect(before).toMatchObject({ code: 'ERR_ABORTED' });
  });
});

describe('ffmpeg before 5.1', () => {
  const { PATH } = process.env;
  afterAll(() => {
    process.env.PATH = PATH;
  });

  it('is asked in its own words, once it has said that it knows no others', async () => {
    const place = join(folder, 'older');
    const calls = join(place, 'calls.txt');
    mkdirSync(place);
    const own = execFileSync('sh', ['-c', 'command -v ffmpeg'], { encoding: 'utf8' }).trim();
    const older = [
      '#!/bin/sh',
      `echo "$*" >> '${calls}'`,
      'case "$*" in *-fps_mode*)',
      `  echo "Unrecognized option 'fps_mode'." >&2`,
      '  echo "Error splitting the argument list: Option not found" >&2',
      '  exit 1;;',
      'esac',
      `exec '${own}' "$@"`,
    ];
    writeFileSync(join(place, 'ffmpeg'), older.join('\n'), { mode: 0o755 });
    process.env.PATH = `${place}${delimiter}${PATH}`;
    for (const _ of [0, 1]) {
      let count = 0;
      for await (const { width } of readVideo(video)) count += Number(width === SIZE.width);
      expect(count).toBe(FRAMES);
    }
    const asked = readFileSync(calls, 'utf8').trim().split('\n');
    expect(asked.map((call) => /-(fps_mode|vsync) passthrough/.exec(call)?.[1])).toEqual([
      'fps_mode',
      'vsync',
      'vsync',
    ]);
  });
});
