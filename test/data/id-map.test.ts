/** Maps of ids, as other programs store numbers in images. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readIdMap } from '../../lib/data/id-map.js';
import { temporaryFolder } from '../cli/places.js';

let root: string;
beforeEach(() => {
  root = temporaryFolder();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const GREY = 0;
const PALETTE = 3;

function chunk(type: string, data: Buffer): Buffer {
  const ends = Buffer.alloc(8);
  const body = Buffer.concat([Buffer.from(type), data]);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

/** One row of numbers of `bits` each. */
function png(values: number[], bits: number, kind: number, ...more: Buffer[]): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(values.length, 0);
  header.writeUInt32BE(1, 4);
  header[8] = bits;
  header[9] = kind;
  const row = Buffer.alloc(1 + Math.ceil((values.length * bits) / 8));
  for (const [at, value] of values.entries()) {
    const bit = at * bits;
    row[1 + (bit >> 3)] = (row[1 + (bit >> 3)] as number) | (value << (8 - bits - (bit & 7)));
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
  const end = [chunk('IDAT', deflateSync(row)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([signature, chunk('IHDR', header), ...more, ...end]);
}

/** One row of numbers of 32 bits. */
function tiff(values: number[]): Buffer {
  const [width, height, bits, compression, photometric] = [256, 257, 258, 259, 262];
  const [offsets, samples, rows, bytes, format] = [273, 277, 278, 279, 339];
  const fields = [
    ...[
      [width, values.length],
      [height, 1],
      [bits, 32],
      [compression, 1],
      [photometric, 1],
    ],
    ...[
      [offsets, 8],
      [samples, 1],
      [rows, 1],
      [bytes, 4 * values.length],
      [format, 1],
    ],
  ] as [tag: number, value: number][];
  const file = Buffer.alloc(8 + 4 * values.length + 2 + 12 * fields.length + 4);
  file.write('II*\0', 'latin1');
  const directory = 8 + 4 * values.length;
  file.writeUInt32LE(directory, 4);
  for (const [at, value] of values.entries()) file.writeUInt32LE(value, 8 + 4 * at);
  file.writeUInt16LE(fields.length, directory);
  for (const [at, [tag, value]] of fields.entries()) {
    const entry = directory + 2 + 12 * at;
    const long = 4;
    file.writeUInt16LE(tag, entry);
    file.writeUInt16LE(long, entry + 2);
    file.writeUInt32LE(1, entry + 4);
    file.writeUInt32LE(value, entry + 8);
  }
  return file;
}

async function idsOf(file: Buffer): Promise<number[]> {
  const path = join(root, 'map.png');
  writeFileSync(path, file);
  return [...(await readIdMap(path)).ids];
}

/** Two colours, and black for all that nobody uses. */
const padded = Buffer.alloc(3 * 256);
padded.set([255, 0, 0, 0, 255, 0], 3);

describe('a map of ids', () => {
  it.each([
    [1, [0, 1, 1, 0]],
    [2, [0, 1, 2, 3]],
    [4, [0, 1, 7, 15]],
    [8, [0, 1, 128, 255]],
  ])('is read from a grey image of %i bits as stored', async (bits, values) => {
    expect(await idsOf(png(values, bits, GREY))).toEqual(values);
  });

  it.each([
    [8, [0, 1, 2, 3, 15, 255]],
    [4, [0, 1, 2, 3, 9, 15]],
  ])('is read from a palette of %i bits by entries, not by colours', async (bits, values) => {
    const colours = chunk('PLTE', padded.subarray(0, 3 * 2 ** bits));
    expect(await idsOf(png(values, bits, PALETTE, colours))).toEqual(values);
    const clear = chunk('tRNS', Buffer.from([0, 0, 255]));
    expect(await idsOf(png(values, bits, PALETTE, colours, clear))).toEqual(values);
  });

  it('is not changed by a colour profile', async () => {
    const values = [1, 273, 968, 133_887];
    const bytes = Uint8Array.from(values.flatMap((id) => [id & 255, (id >> 8) & 255, id >> 16]));
    const image = sharp(bytes, { raw: { width: values.length, height: 1, channels: 3 } });
    // The samples are those above, and the profile only says how they would look.
    const plain = await image.png().toBuffer();
    const other = await sharp(plain).withIccProfile('p3').png().toBuffer();
    const start = other.indexOf('iCCP') - 4;
    const profile = other.subarray(start, start + 12 + other.readUInt32BE(start));
    const header = 8 + 25;
    const tagged = Buffer.concat([plain.subarray(0, header), profile, plain.subarray(header)]);
    expect(await idsOf(tagged)).toEqual(values);
  });

  it('is refused where its numbers are of another size', async () => {
    const path = join(root, 'map.tif');
    writeFileSync(path, tiff([0, 1, 300, 70_000]));
    await expect(readIdMap(path)).rejects.toMatchObject({
      code: 'ERR_DATA',
      message: expect.stringMatching(/map\.tif.*values are of type uint/),
    });
  });
});
