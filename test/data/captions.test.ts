/** Images with captions from JSONL, CSV and tar shards: what is read, in which order, what is refused. */
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import tar from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readManifest, readMerges, tokenizerOf } from '../../lib/bundle.js';
import {
  type ImageTextOptions,
  LexisegError,
  openCaptions,
  openImageText,
} from '../../lib/index.js';
import type { ClipTokenizer } from '../../lib/text/tokenizer.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';
import { TINY_BUNDLE } from '../e2e/bundle-file.js';

let root: string;
let tokenizer: ClipTokenizer;
beforeEach(async () => {
  root = temporaryFolder();
  if (tokenizer !== undefined) return;
  const manifest = await readManifest(TINY_BUNDLE);
  tokenizer = tokenizerOf(await readMerges(TINY_BUNDLE, manifest, undefined), manifest);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const picture = (shade: number): Promise<Buffer> =>
  sharp({ create: { width: 20, height: 16, channels: 3, background: { r: shade, g: 0, b: 0 } } })
    .png()
    .toBuffer();

const SHADES = [10, 60, 110, 160, 210];

async function writeJsonl(lines = SHADES.map((shade) => ({ caption: `shade ${shade}` }))) {
  const rows = await Promise.all(
    lines.map(async (line, i) => {
      writeFileSync(join(root, `${i}.png`), await picture(SHADES[i] as number));
      return JSON.stringify({ image: `${i}.png`, ...line });
    }),
  );
  writeFileSync(join(root, 'captions.jsonl'), `${rows.join('\n')}\n`);
  return join(root, 'captions.jsonl');
}

async function writeShard(name: string, shades: readonly number[]): Promise<string> {
  const pack = tar.pack();
  for (const shade of shades) {
    pack.entry({ name: `${shade}.png` }, await picture(shade));
    pack.entry({ name: `${shade}.txt` }, `shade ${shade}`);
  }
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  writeFileSync(join(root, name), Buffer.concat(chunks));
  return join(root, name);
}

interface Look {
  readonly start?: number;
  readonly seed?: number;
  readonly rank?: number;
  readonly worldSize?: number;
  readonly batches?: number;
}

/** The shades of pictures and the captions, batch by batch. */
async function look(path: string, options: Partial<ImageTextOptions> = {}, request: Look = {}) {
  const data = await openImageText(path, tokenizer, { batchSize: 2, imageSize: 16, ...options });
  const { batches: count = 3, ...where } = request;
  const seen: { shades: number[]; texts: string[] }[] = [];
  const stream = data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1, ...where });
  for await (const { inputs } of stream) {
    const { images, token_ids } = inputs;
    const [batch = 0, length = 0] = token_ids?.shape ?? [];
    const pixels = images?.data as Uint8Array;
    const tokens = token_ids?.data as BigInt64Array;
    seen.push({
      shades: Array.from(
        { length: batch },
        (_, i) => pixels[(i * pixels.length) / batch] as number,
      ),
      texts: Array.from({ length: batch }, (_, i) =>
        [...tokens.subarray(i * length, (i + 1) * length)].join(' ').replace(/( 0)+$/, ''),
      ),
    });
    for (const tensor of Object.values(inputs)) tensor.dispose();
    if (seen.length === count) break;
  }
  await data.close();
  return seen;
}

const tokensOf = (shade: number): string => tokenizer.encode(`shade ${shade}`).join(' ');

describe('captions in a file', () => {
  it('stay with their images, and each pass is a new order', async () => {
    const seen = (await look(await writeJsonl(), {}, { batches: 5 })).flatMap(({ shades, texts }) =>
      shades.map((shade, i) => ({ shade, text: texts[i] as string })),
    );
    for (const { shade, text } of seen) expect(text).toBe(tokensOf(shade));
    const [first, second] = [seen.slice(0, 5), seen.slice(5)].map((pass) =>
      pass.map(({ shade }) => shade),
    );
    expect([...(first as number[])].sort((a, b) => a - b)).toEqual(SHADES);
    expect([...(second as number[])].sort((a, b) => a - b)).toEqual(SHADES);
    expect(first).not.toEqual(second);
  });

  it('come in the same order for the same seed, from any batch on', async () => {
    const path = await writeJsonl();
    const jitter = { colorJitter: { brightness: 0.5 }, crop: { area: [0.5, 1] as const } };
    const whole = await look(path, jitter, { batches: 6 });
    expect(await look(path, jitter, { batches: 6 })).toEqual(whole);
    expect(await look(path, jitter, { start: 3, batches: 3 })).toEqual(whole.slice(3));
    expect(await look(path, jitter, { seed: 2, batches: 6 })).not.toEqual(whole);
  });

  it('are shared out among ranks without loss or repetition', async () => {
    const path = await writeJsonl();
    const one = await look(path, { batchSize: 4 }, { batches: 2 });
    const ranks = await Promise.all(
      [0, 1].map((rank) => look(path, {}, { rank, worldSize: 2, batches: 2 })),
    );
    const union = [0, 1].map((step) =>
      [0, 1].flatMap((place) => ranks.map((rank) => rank[step]?.shades[place])),
    );
    expect(union).toEqual(one.map(({ shades }) => shades));
  });

  it('may be two for each image', async () => {
    const path = await writeJsonl([{ captions: ['one', 'two'] }] as never);
    const data = await openImageText(path, tokenizer, {
      batchSize: 1,
      imageSize: 16,
      pairedCaptions: true,
    });
    const stream = data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 });
    const { value } = await stream[Symbol.asyncIterator]().next();
    const tokens = ['token_ids', 'paired_token_ids'].map((name) =>
      [...(value.inputs[name].data as BigInt64Array)].join(' '),
    );
    expect(tokens.sort()).toEqual(
      ['one', 'two'].map((text) => tokenizer.encode(text).join(' ')).sort(),
    );
    await data.close();
  });

  it('may give way to their nouns in prompts, each as probable', async () => {
    const caption = 'A dog and two cats on a sofa.';
    const path = await writeJsonl([{ caption }]);
    const options = { batchSize: 1, nounPrompts: true };
    const drawn = (await look(path, options, { batches: 200 })).map(({ texts }) => texts[0]);
    const file = new URL('../../models/vocabularies/templates_imagenet_7.json', import.meta.url);
    const { templates } = JSON.parse(readFileSync(file, 'utf8')) as { templates: string[] };
    const prompts = (noun: string) => templates.map((one) => one.replace('{}', noun));
    const kinds = [[caption], ...['dog', 'cat', 'sofa'].map(prompts)];
    const shares = kinds.map((texts) => {
      const tokens = new Set(texts.map((text) => tokenizer.encode(text).join(' ')));
      return drawn.filter((text) => tokens.has(text as string)).length;
    });
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(200);
    for (const share of shares) expect(share).toBeGreaterThan(25);
  });

  it('may be laid in bands on canvases', async () => {
    const path = await writeJsonl();
    const options = { batchSize: 8, imageSize: 24, flip: 0, mosaic: { bands: [2, 3, 1] } };
    const data = await openImageText(path, tokenizer, options);
    const stream = data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 });
    const { value } = await stream[Symbol.asyncIterator]().next();
    expect(value.inputs.images.shape).toEqual([3, 24, 24, 3]);
    expect(value.inputs.token_ids.shape[0]).toBe(8);
    const { shape, data: boxes } = value.inputs.boxes;
    expect(shape).toEqual([8, 5]);
    const rows = Array.from({ length: 8 }, (_, i) =>
      [...boxes.slice(5 * i, 5 * i + 5)].map(Number),
    );
    expect(rows).toEqual([
      [0, 0, 0, 12, 12],
      [0, 12, 0, 24, 12],
      [0, 0, 12, 8, 20],
      [0, 8, 12, 16, 20],
      [0, 16, 12, 24, 20],
      [1, 0, 0, 24, 24],
      [2, 0, 0, 12, 12],
      [2, 12, 0, 24, 12],
    ]);
    // What no image covers stays black; every image shows.
    const pixel = (canvas: number, x: number, y: number) => {
      const at = ((canvas * 24 + y) * 24 + x) * 3;
      return [...value.inputs.images.data.slice(at, at + 3)];
    };
    expect(pixel(0, 5, 22)).toEqual([0, 0, 0]);
    for (const [canvas, x, y] of rows as [number, number, number][]) {
      expect(pixel(canvas, x + 2, y + 2)).not.toEqual([0, 0, 0]);
    }
    await data.close();
  });

  it.each([
    [[], 'a list of 1 to 64 numbers'],
    [[2, 0], 'mosaic.bands\\[1\\]'],
    [[17], 'mosaic.bands\\[0\\]'],
    ['2', 'a list of 1 to 64 numbers'],
  ])('refuses bands %j', async (bands, message) => {
    const path = await writeJsonl();
    const options = { batchSize: 4, imageSize: 16, mosaic: { bands: bands as number[] } };
    const error = await openImageText(path, tokenizer, options).catch((reason: unknown) => reason);
    expect((error as Error).message).toMatch(new RegExp(message));
  });

  it('are read from CSV with quotes and commas', async () => {
    await writeJsonl();
    writeFiles(root, { 'captions.csv': 'image,caption\n0.png,"a cat, sleeping"\n1.png,dog\n' });
    const seen = await look(join(root, 'captions.csv'), {}, { batches: 1 });
    const expected = ['a cat, sleeping', 'dog'].map((text) => tokenizer.encode(text).join(' '));
    expect(seen[0]?.texts.toSorted()).toEqual(expected.sort());
  });

  it('are those of all lines of an image', async () => {
    await writeJsonl();
    const rows = ['0.png,one', '1.png,other', './0.png,two'];
    writeFiles(root, { 'captions.csv': `image,caption\n${rows.join('\n')}\n` });
    const source = await openCaptions(join(root, 'captions.csv'));
    expect(source.size).toBe(2);
    const options = { batchSize: 2, imageSize: 16, pairedCaptions: true };
    const data = await openImageText(join(root, 'captions.csv'), tokenizer, options);
    const stream = data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1 });
    const { value } = await stream[Symbol.asyncIterator]().next();
    const rowsOf = (name: string): string[] => {
      const { data: tokens, shape } = value.inputs[name];
      return [0, 1].map((i) => [...tokens.slice(i * shape[1], (i + 1) * shape[1])].join(' '));
    };
    const pairs = rowsOf('token_ids').map((first, i) =>
      [first, rowsOf('paired_token_ids')[i] as string].sort(),
    );
    const tokens = (text: string): string => tokenizer.encode(text).join(' ');
    expect(pairs).toContainEqual([tokens('one'), tokens('two')].sort());
    expect(pairs).toContainEqual([tokens('other'), tokens('other')]);
    await data.close();
  });

  const broken: [what: string, file: string, content: string, message: RegExp][] = [
    [
      'a line that is no JSON',
      'c.jsonl',
      '{"image":"0.png","caption":"a"}\n{oops\n',
      /c\.jsonl:2:/,
    ],
    ['a caption that is missing', 'c.jsonl', '{"image":"0.png"}\n', /c\.jsonl:1: no text/],
    [
      'captions that are none',
      'c.jsonl',
      '{"image":"0.png","captions":[]}\n',
      /c\.jsonl:1: no text/,
    ],
    ['an image that is missing', 'c.jsonl', '\n{"caption":"a"}\n', /c\.jsonl:2: no path/],
    ['a path that leads out', 'c.jsonl', '{"image":"../a.png","caption":"a"}', /is outside/],
    ['an empty file', 'c.jsonl', '\n', /there is no caption/],
    ['a CSV line too long', 'c.csv', 'image,caption\n0.png,a,b\n', /c\.csv:2/],
  ];
  it.each(broken)('refuse %s, with the line', async (_, file, content, message) => {
    writeFiles(root, { [file]: content });
    await expect(look(join(root, file))).rejects.toThrow(message);
  });

  it('name an image that cannot be decoded', async () => {
    writeFiles(root, { 'c.jsonl': '{"image":"x.png","caption":"a"}', 'x.png': 'nothing' });
    const error = await look(join(root, 'c.jsonl')).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LexisegError);
    expect((error as LexisegError).message).toMatch(/Cannot decode c\.jsonl:1 x\.png/);
  });
});

describe('what a run must find unchanged', () => {
  it('is every setting of the captions, and none of the functions', async () => {
    const path = await writeJsonl();
    const mosaic = { bands: [1, 2] };
    const options = { batchSize: 2, imageSize: 16, flip: 0, mosaic };
    const { identity } = await openImageText(path, tokenizer, options);
    expect(JSON.parse(JSON.stringify(identity))).toEqual({
      name: 'captions.jsonl',
      imageSize: 16,
      crop: { area: [0.6, 1], aspect: [3 / 4, 4 / 3] },
      flip: 0,
      colorJitter: { brightness: 0, contrast: 0, saturation: 0, hue: 0 },
      pairedCaptions: false,
      nounPrompts: false,
      mosaic,
    });
  });
});

describe('captions in tar shards', () => {
  it('are read shard by shard', async () => {
    await writeShard('0.tar', SHADES.slice(0, 2));
    await writeShard('1.tar', SHADES.slice(2, 4));
    const seen = await look(root, {}, { batches: 4 });
    for (const { shades, texts } of seen) expect(texts).toEqual(shades.map(tokensOf));
    expect(
      seen
        .slice(0, 2)
        .flatMap(({ shades }) => shades)
        .sort((a, b) => a - b),
    ).toEqual(SHADES.slice(0, 4));
  });

  it('stop being read when the run is aborted', async () => {
    await writeShard('0.tar', SHADES);
    const data = await openImageText(root, tokenizer, { batchSize: 1, imageSize: 16 });
    const controller = new AbortController();
    const { signal } = controller;
    const reading = async () => {
      for await (const _ of data.batches({ start: 0, seed: 1, rank: 0, worldSize: 1, signal })) {
        controller.abort();
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  it('refuse a shard that was cut short, and a folder without one', async () => {
    const path = await writeShard('0.tar', SHADES);
    truncateSync(path, readFileSync(path).length - 1700);
    const error = await look(root, {}, { batches: 9 }).catch((reason: unknown) => reason);
    expect((error as LexisegError).code).toBe('ERR_DATA');
    expect((error as LexisegError).message).toMatch(/0\.tar/);
    rmSync(path);
    await expect(look(root)).rejects.toThrow(/holds no \.tar shards/);
  });
});
