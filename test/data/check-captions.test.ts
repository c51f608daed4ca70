/** Everything that is wrong with image–text data: lines of files, samples of shards, images. */
import { rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import tar from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkCaptions, openCaptions } from '../../lib/index.js';
import { lexiseg } from '../cli/command.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';

let root: string;
let picture: Buffer;
beforeEach(async () => {
  root = temporaryFolder();
  const create = { width: 20, height: 16, channels: 3 as const, background: '#336699' };
  picture = await sharp({ create }).png().toBuffer();
  writeFileSync(join(root, 'a.png'), picture);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Members in their order; a picture where no content is said. */
async function writeShard(name: string, members: [name: string, content?: string][]) {
  const pack = tar.pack();
  for (const [member, content] of members) pack.entry({ name: member }, content ?? picture);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  writeFileSync(join(root, name), Buffer.concat(chunks));
  return join(root, name);
}

describe('checkCaptions', () => {
  it('counts what is right', async () => {
    const rows = ['{"image":"a.png","captions":["one","two"]}', '{"image":"a.png","caption":"x"}'];
    writeFiles(root, { 'c.jsonl': rows.join('\n') });
    const seen: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => seen.push(done, total);
    const found = await checkCaptions(join(root, 'c.jsonl'), { onProgress });
    expect(found).toMatchObject({ captions: 3, problems: [] });
    expect(seen.at(-1)).toBe(found.images);
  });

  it('lists every broken line of a JSONL file, and every image that cannot be decoded', async () => {
    const rows = [
      '{"image":"a.png","caption":"right"}',
      '{oops',
      '{"image":"a.png","caption":" "}',
      '{"caption":"no image"}',
      '{"image":"../a.png","caption":"outside"}',
      '{"image":"broken.png","caption":"no picture"}',
      '[1]',
      '{"image":"missing.png","caption":"nowhere"}',
      '{"image":"a.png","captions":["one",""]}',
    ];
    writeFiles(root, { 'c.jsonl': rows.join('\n'), 'broken.png': 'nothing' });
    const { problems, images, captions } = await checkCaptions(join(root, 'c.jsonl'));
    expect({ images, captions }).toEqual({ images: 3, captions: 3 });
    const lines = [
      ...['c.jsonl:2: ', 'c.jsonl:3: no text', 'c.jsonl:4: no path', 'c.jsonl:5: ../a.png is out'],
      ...['c.jsonl:6 broken.png: cannot be decoded', 'c.jsonl:7: no path'],
      ...['c.jsonl:8 missing.png: cannot be decoded', 'c.jsonl:9: no text'],
    ];
    expect(problems.map((problem) => problem.slice(problem.indexOf('c.jsonl')))).toEqual(
      expect.arrayContaining(lines.map((line) => expect.stringContaining(line))),
    );
    expect(problems).toHaveLength(lines.length);
  });

  it('lists the broken rows of a CSV file by their lines', async () => {
    const rows = ['image,caption', 'a.png,a cat', 'a.png,a,b', 'a.png,', 'a.png,dog', 'a.png,"x'];
    writeFiles(root, { 'c.csv': `${rows.join('\n')}\n` });
    const { problems, captions } = await checkCaptions(join(root, 'c.csv'));
    expect(captions).toBe(2);
    expect(problems.map((problem) => /c\.csv:(\d+):/.exec(problem)?.[1])).toEqual(['3', '4', '6']);
  });

  it('says that a file without a caption has none', async () => {
    writeFiles(root, { 'c.jsonl': '{oops\n' });
    const { problems, images } = await checkCaptions(join(root, 'c.jsonl'));
    expect(images).toBe(0);
    expect(problems).toEqual([
      expect.stringMatching(/c\.jsonl:1: .*JSON/),
      expect.stringMatching(/c\.jsonl:1: there is no caption/),
    ]);
    await expect(checkCaptions(join(root, 'none.jsonl'))).rejects.toMatchObject({
      code: 'ERR_DATA',
    });
  });

  it('passes over what is of no sample in a shard, and stops when it is told to', async () => {
    await writeShard('0.tar', [['README'], ['1.png'], ['._1.png'], ['1.txt', 'a cat'], ['.x.txt']]);
    expect(await checkCaptions(root)).toEqual({ images: 1, captions: 1, problems: [] });
    const checking = checkCaptions(root, { signal: AbortSignal.abort() });
    await expect(checking).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    symlinkSync(join(root, 'gone'), join(root, '1.tar'));
    const { problems } = await checkCaptions(root);
    expect(problems).toEqual([
      expect.stringMatching(/1\.tar holds no image/),
      expect.stringMatching(/1\.tar is no whole tar file: ENOENT/),
    ]);
  });

  it('lists every broken sample of tar shards, and goes on with the next shard', async () => {
    await writeShard('0.tar', [
      ...([['1.png'], ['1.txt', 'a cat'], ['2.png'], ['2.txt', ' \n']] as [string, string?][]),
      ...([['3.png'], ['3.json', '{"caption":""}'], ['4.png']] as [string, string?][]),
      ...([
        ['5.png', 'no picture'],
        ['5.txt', 'a dog'],
      ] as [string, string?][]),
      ...([['6.png'], ['6.json', '{"captions":["one","two"]}'], ['7.json', '{']] as [
        string,
        string?,
      ][]),
    ]);
    const cut = await writeShard('1.tar', [['8.png'], ['8.txt', 'a bird'], ['9.png']]);
    truncateSync(cut, 512 * 5 + 20);
    await writeShard('2.tar', [['10.png'], ['10.json', 'null']]);
    const { problems, images, captions } = await checkCaptions(root);
    expect({ images, captions }).toEqual({ images: 4, captions: 5 });
    expect(problems.map((problem) => problem.slice(root.length + 1))).toEqual([
      '0.tar:2.txt has no text',
      '0.tar:3.json has no text in "captions" or "caption"',
      '0.tar:4 needs an image and a caption but holds png',
      expect.stringMatching(/^0\.tar:5: cannot be decoded/),
      '0.tar:7 needs an image and a caption but holds json',
      expect.stringMatching(/^1\.tar \(\d+ bytes\) is no whole tar file/),
      '2.tar holds no image with a caption',
      '2.tar:10.json has no text in "captions" or "caption"',
    ]);
  });
});

describe('captions without text', () => {
  it.each([
    ['1.txt', '\n', /0\.tar:1\.txt has no text/],
    ['1.json', '{"captions":["a cat"," "]}', /0\.tar:1\.json has no text/],
  ])('are refused in the member %s of a shard', async (member, content, message) => {
    await writeShard('0.tar', [['1.png'], [member, content]]);
    await expect(openCaptions(root)).rejects.toThrow(message);
  });
});

describe('lexiseg data check --dataset captions', () => {
  it('counts, and ends with status 1 when something is wrong', async () => {
    writeFiles(root, { 'c.jsonl': '{"image":"a.png","caption":"a cat"}\n' });
    const check = ['data', 'check', join(root, 'c.jsonl'), '--dataset', 'captions'];
    const good = await lexiseg(check);
    expect(good.status).toBe(0);
    expect(good.stdout).toMatch(/1 images, 1 captions[\s\S]*nothing is wrong/);
    writeFiles(root, { 'c.jsonl': '{"image":"a.png","caption":"a cat"}\n{"image":"b.png"}\n' });
    const bad = await lexiseg([...check, '--json']);
    expect(bad.status).toBe(1);
    expect(JSON.parse(bad.stdout).problems).toEqual([expect.stringMatching(/c\.jsonl:2: no text/)]);
  });
});
