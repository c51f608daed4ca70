/** Pairs of masks and words from images with captions, with the tiny bundle (random weights). */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type MiningOptions,
  minePairs,
  openCaptions,
  openImageText,
  Segmenter,
} from '../../lib/index.js';
import { takeLock } from '../../lib/lock.js';
import { openNounFinder } from '../../lib/text/nouns.js';
import { lexiseg } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';
import { drawScene } from '../fixtures/scene.js';
import { TINY_BUNDLE, TINY_DENSE_BUNDLE } from './bundle-file.js';

const CAPTIONS = [
  'A dog runs over the grass in front of a house.',
  'A road leads to the mountains. There are two trees.',
  'running quickly',
  'The sky above the house',
  'A house.',
];

let folder: string;
let captions: string;
let segmenter: Segmenter;
beforeAll(async () => {
  folder = temporaryFolder();
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
  const rows: string[] = [];
  for (const [i, caption] of CAPTIONS.entries()) {
    writeFileSync(join(folder, `${i}.png`), await drawScene(120 + 10 * i, 90));
    rows.push(JSON.stringify({ image: `${i}.png`, caption }));
  }
  captions = join(folder, 'captions.jsonl');
  writeFileSync(captions, rows.join('\n'));
});
afterAll(async () => {
  await segmenter.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const pairsOf = (out: string): string[][] =>
  readFileSync(join(out, 'pairs.tsv'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((row) => row.split('\t'));

describe('nouns', () => {
  it.each([
    ['A brown dog and two kittens are playing with a red ball.', ['dog', 'kitten', 'ball']],
    ['a photo of a wine glass', ['wine glass']],
    ['A rhinoceros under the night sky', ['rhinoceros', 'night sky']],
    ['a person on skis', ['person', 'skis']],
    ['A building, a building.', ['building']],
    ['running quickly', []],
    ['', []],
    ['!?', []],
  ])('of "%s"', async (caption, nouns) => {
    expect((await openNounFinder())(caption)).toEqual(nouns);
  });
});

describe('minePairs', () => {
  it('pairs each noun with a region, and says how many', async () => {
    const out = join(folder, 'all');
    const seen: number[] = [];
    const report = await minePairs(segmenter, await openCaptions(captions), out, {
      onProgress: ({ done }) => seen.push(done),
    });
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(report).toMatchObject({ images: 5, imagesWithoutNouns: 1 });
    expect(report.nouns.house).toBe(3);
    expect(Object.values(report.nouns).reduce((a, b) => a + b)).toBe(report.pairs);
    const [heading, ...pairs] = pairsOf(out);
    expect(heading).toEqual(['title', 'filepath']);
    expect(pairs).toHaveLength(report.pairs);
    for (const [title = '', path = ''] of pairs) {
      expect(title).toMatch(/^a photo of a [a-z ]+\.$/);
      const { data, info } = await sharp(join(out, path))
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect(info.channels).toBe(3);
      expect(data.length).toBeGreaterThan(0);
    }
  });

  it('words pairs as the bundle asks, or as it is told', async () => {
    await using demo = await Segmenter.load('demo-fc-clip', { cache: false });
    const csv = join(folder, 'house.csv');
    writeFileSync(csv, 'image,caption\n0.png,A house.\n');
    for (const [name, template, title] of [
      ['usual', undefined, 'house'],
      ['told', 'one {}', 'one house'],
    ] as const) {
      const out = join(folder, name);
      await minePairs(demo, await openCaptions(csv), out, { template });
      expect(pairsOf(out).slice(1)).toEqual([[title, expect.any(String)]]);
    }
    const twice = { template: '{} {}' };
    const refused = minePairs(demo, await openCaptions(csv), join(folder, 'twice'), twice);
    await expect(refused).rejects.toThrow(/one \{\}/);
  });

  it('goes on where it was stopped, with the result of an undisturbed run', async () => {
    const out = join(folder, 'stopped');
    const controller = new AbortController();
    const stopped = minePairs(segmenter, await openCaptions(captions), out, {
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done === 2) controller.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    // What was written after the last record is not counted twice.
    writeFileSync(join(out, 'pairs.tsv'), 'half a row', { flag: 'a' });
    const report = await minePairs(segmenter, await openCaptions(captions), out);
    expect(report.images).toBe(5);
    const whole = pairsOf(join(folder, 'all'));
    expect(pairsOf(out)).toEqual(whole);
    for (const [, path = ''] of whole.slice(1)) {
      const [a, b] = ['all', 'stopped'].map((name) => readFileSync(join(folder, name, path)));
      expect(a?.equals(b as Buffer)).toBe(true);
    }
    const before = statSync(join(out, 'pairs.tsv')).mtimeMs;
    expect(await minePairs(segmenter, await openCaptions(captions), out)).toEqual(report);
    expect(statSync(join(out, 'pairs.tsv')).size).toBeGreaterThan(0);
    expect(before).toBeGreaterThan(0);
  });

  it('goes on with the same settings only, and one process at a time', async () => {
    const out = join(folder, 'all');
    const open = async (options: MiningOptions) =>
      minePairs(segmenter, await openCaptions(captions), out, options);
    await expect(open({ template: 'a drawing of a {}.', leastCosine: 0.9 })).rejects.toMatchObject({
      code: 'ERR_OUTPUT',
      message: expect.stringMatching(/other settings \(leastCosine, template\)/),
    });
    const release = await takeLock(join(out, 'mine.lock'));
    await expect(open({})).rejects.toMatchObject({
      code: 'ERR_OUTPUT',
      message: expect.stringMatching(/held by process/),
    });
    await release();
    expect((await open({})).images).toBe(5);
  });

  it('pairs a noun once with an image that several lines name, also after a stop', async () => {
    const csv = join(folder, 'rows.csv');
    const rows = [
      '0.png,A house.',
      '1.png,A dog.',
      '0.png,A dog by a house.',
      './0.png,The house.',
    ];
    writeFileSync(csv, `image,caption\n${rows.join('\n')}\n`);
    const out = join(folder, 'rows');
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = () => controller.abort();
    const stopped = minePairs(segmenter, await openCaptions(csv), out, { signal, onProgress });
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    const report = await minePairs(segmenter, await openCaptions(csv), out);
    expect(report).toMatchObject({ images: 2, nouns: { house: 1, dog: 2 } });
    const titles = pairsOf(out).map(([title]) => title);
    expect(titles.filter((title) => title === 'a photo of a house.')).toHaveLength(1);
  });

  it('gives data that training reads', async () => {
    const tokenizer = { encode: (text: string) => [49406, text.length, 49407] } as never;
    const path = join(folder, 'all', 'pairs.tsv');
    const data = await openImageText(path, tokenizer, { batchSize: 2, imageSize: 32 });
    const stream = data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 });
    const { value } = await stream[Symbol.asyncIterator]().next();
    expect(value.inputs.images.shape).toEqual([2, 32, 32, 3]);
    await data.close();
  });

  it('refuses what cannot be mined', async () => {
    const images = await openCaptions(captions);
    await using dense = await Segmenter.load(TINY_DENSE_BUNDLE, { cache: false });
    const mined = (options: object, out = join(folder, 'refused')) =>
      minePairs(segmenter, images, out, options);
    await expect(minePairs(dense, images, folder)).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
    });
    await expect(mined({ template: 'none' })).rejects.toThrow(/one \{\} in options\.template/);
    await expect(mined({ threshold: 2 })).rejects.toThrow(/options\.threshold/);
    await expect(mined({ treshold: 0.4 })).rejects.toThrow(/threshold/);
    const other = join(folder, 'other.jsonl');
    writeFileSync(other, '{"image": "0.png", "caption": "a dog"}');
    const another = minePairs(segmenter, await openCaptions(other), join(folder, 'all'));
    await expect(another).rejects.toMatchObject({ code: 'ERR_OUTPUT' });
    writeFileSync(join(folder, 'broken.png'), 'no picture');
    const broken = join(folder, 'broken.jsonl');
    writeFileSync(broken, '{"image": "broken.png", "caption": "a dog"}');
    const unreadable = minePairs(segmenter, await openCaptions(broken), join(folder, 'unreadable'));
    await expect(unreadable).rejects.toThrow(/broken\.jsonl:1 broken\.png: Cannot decode/);
    writeFileSync(join(folder, 'all', 'state.json'), '{"images": "many"}');
    await expect(mined({}, join(folder, 'all'))).rejects.toThrow(/state\.json is none of this/);
  });
});

describe('lexiseg mine', () => {
  it('writes pairs and a report', async () => {
    const out = join(folder, 'command');
    const { status, stdout } = await lexiseg(['mine', captions, '-b', TINY_BUNDLE, '--out', out]);
    expect({ status, stdout }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/pairs of \d+ nouns from 5 images/);
    expect(existsSync(join(out, 'report.json'))).toBe(true);
  });
});
