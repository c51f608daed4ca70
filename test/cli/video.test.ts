/** `lexiseg video` with the tiny bundle (random weights): what it reads, writes and refuses. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VideoWriter } from '../../lib/video/ffmpeg.js';
import { TINY_BUNDLE } from '../e2e/bundle-file.js';
import { drawScene } from '../fixtures/scene.js';
import { lexiseg } from './command.js';
import { temporaryFolder } from './places.js';

let folder: string;
let picture: Buffer;

beforeAll(async () => {
  folder = temporaryFolder();
  picture = await drawScene(240, 160);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('lexiseg video', () => {
  it('reads a video file and writes maps, records and a video', async () => {
    const file = join(folder, 'in.mp4');
    const writer = new VideoWriter(file, 8);
    const { data, info } = await sharp(picture).raw().toBuffer({ resolveWithObject: true });
    for (let t = 0; t < 3; t++)
      await writer.write({ data, width: info.width, height: info.height });
    await writer.close();
    const out = join(folder, 'out');
    const words = ['-c', 'cat, sky, grass', '-b', TINY_BUNDLE, '--no-cache'];
    const kinds = ['--write', 'json,panoptic,overlay,pictures', '--out', out];
    const { status, stdout, stderr } = await lexiseg(['video', file, ...words, ...kinds]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/3 frames, \d+ things/);
    const records = readFileSync(join(out, 'frames.jsonl'), 'utf8').trim().split('\n');
    expect(records.map((line) => JSON.parse(line).frame)).toEqual([0, 1, 2]);
    const { annotations } = JSON.parse(readFileSync(join(out, 'panoptic.json'), 'utf8'));
    expect(annotations).toHaveLength(3);
    expect((await sharp(join(out, 'panoptic/000002.png')).metadata()).width).toBe(240);
    expect((await sharp(join(out, 'overlay/000000.png')).metadata()).format).toBe('png');
    expect(readFileSync(join(out, 'overlay.mp4')).length).toBeGreaterThan(500);
  }, 60_000);

  it('ends when one of its files cannot be written, and keeps the video', async () => {
    const out = join(folder, 'in-the-way');
    mkdirSync(join(out, 'panoptic', '000001.png'), { recursive: true });
    const words = ['-c', 'cat', '-b', TINY_BUNDLE, '--no-cache', '--write', 'panoptic,overlay'];
    const run = ['video', join(folder, 'in.mp4'), ...words, '-o', out];
    const { status, stderr } = await lexiseg(run);
    expect(status).toBe(1);
    expect(stderr).toMatch(/000001\.png was not written.*ERR_OUTPUT/);
    expect(readFileSync(join(out, 'overlay.mp4')).length).toBeGreaterThan(500);
    const { annotations } = JSON.parse(readFileSync(join(out, 'panoptic.json'), 'utf8'));
    expect(annotations).toHaveLength(1);
  }, 60_000);

  it('writes over no frame that is still to be read', async () => {
    const out = join(folder, 'same');
    mkdirSync(join(out, 'overlay'), { recursive: true });
    const first = join(out, 'overlay', '000000.png');
    writeFileSync(first, picture);
    const options = [
      '-c',
      'cat',
      '-b',
      TINY_BUNDLE,
      '--no-cache',
      '--write',
      'pictures',
      '-o',
      out,
    ];
    const { status, stderr } = await lexiseg(['video', join(out, 'overlay'), ...options]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/000000\.png was not written: it is one of the inputs/);
    expect(readFileSync(first).equals(picture)).toBe(true);
  }, 60_000);

  it('says that ffmpeg is missing where it is', async () => {
    const words = ['-c', 'cat', '-b', TINY_BUNDLE, '--no-cache', '--write', 'json'];
    const file = join(folder, 'in.mp4');
    const run = ['video', file, ...words, '-o', join(folder, 'none')];
    const { status, stderr } = await lexiseg(run, { env: { PATH: '/nonexistent' } });
    expect(status).toBe(1);
    expect(stderr).toMatch(/ffmpeg is not installed.*ERR_VIDEO/);
  }, 60_000);

  it('follows things as it is told', async () => {
    const frames = join(folder, 'changing');
    mkdirSync(frames);
    for (const angle of [0, 90]) {
      await sharp(picture)
        .rotate(angle)
        .toFile(join(frames, `${angle}.png`));
    }
    const words = ['-c', 'cat, dog', '-b', TINY_BUNDLE, '--no-cache', '--write', 'json'];
    // Whoever is not wholly like what was there is another.
    const strict = ['--similarity', '1', '--scene-cut', '1'];
    const idsBy = async (association: string): Promise<number[][]> => {
      const out = join(folder, association);
      const how = [...strict, '--association', association, '--out', out];
      expect((await lexiseg(['video', frames, ...words, ...how])).status).toBe(0);
      const lines = readFileSync(join(out, 'frames.jsonl'), 'utf8').trim().split('\n');
      return lines.map((line) => JSON.parse(line).segments.map(({ id }: { id: number }) => id));
    };
    const again = ([first = [], second = []]: number[][]) =>
      second.some((id) => first.includes(id));
    expect(again(await idsBy('none'))).toBe(true);
    expect(again(await idsBy('queries'))).toBe(false);
  }, 60_000);

  it('keeps what it has when the video breaks off', async () => {
    const frames = join(folder, 'frames');
    mkdirSync(frames);
    for (const name of ['2.png', '10.png']) writeFileSync(join(frames, name), picture);
    writeFileSync(join(frames, '11.png'), picture.subarray(0, 400));
    const out = join(folder, 'kept');
    const options = ['-c', 'cat', '-b', TINY_BUNDLE, '--no-cache', '--write', 'json', '-o', out];
    const { status, stderr } = await lexiseg(['video', frames, ...options]);
    expect(status).toBe(1);
    expect(stderr).toContain('ERR_IMAGE_READ');
    expect(readFileSync(join(out, 'frames.jsonl'), 'utf8').trim().split('\n')).toHaveLength(2);
  }, 60_000);
});
