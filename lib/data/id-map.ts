/** Maps of numbers in PNG and TIFF files: panoptic ids in three bytes, class ids in one or two. */
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { LIMITS } from '../options.js';
import { dataError } from './annotation-file.js';

export interface IdMap {
  readonly width: number;
  readonly height: number;
  readonly ids: Uint32Array;
}

/**
 * Reads R + 256 G + 65536 B of a colour image, or the values of a grey or palette image as stored.
 *
 * @throws LexisegError `ERR_DATA` that names the file.
 */
export async function readIdMap(path: string): Promise<IdMap> {
  try {
    const file = await readFile(path);
    const { depth, isPalette, channels, bitsPerSample = 8 } = await opened(file).metadata();
    if (depth === 'ushort') return await readWords(opened(file));
    if (depth !== 'uchar') throw new Error(`its values are of type ${depth}, not 8 or 16 bits`);
    const indices = isPalette ? withIndicesForColours(file) : undefined;
    if (indices !== undefined) return await readBytes(opened(indices), false);
    if (channels >= 3) return await readBytes(opened(file), true);
    const map = await readBytes(opened(file), false);
    // The decoder spreads values of fewer bits over all of a byte.
    const most = 2 ** Math.min(bitsPerSample, 8) - 1;
    return most === 255 ? map : { ...map, ids: map.ids.map((id) => (id * most) / 255) };
  } catch (cause) {
    const reason = (cause as Error).message?.split('\n')[0] ?? String(cause);
    return dataError(path, '', `cannot be read as a map of ids: ${reason}`, cause);
  }
}

/** Numbers are no colours: a profile must not change them. */
const opened = (file: Buffer): Sharp =>
  sharp(file, { limitInputPixels: LIMITS.imagePixels, ignoreIcc: true });

/** A grey image is given in colour as well: its values are one byte. */
async function readBytes(image: Sharp, colour: boolean): Promise<IdMap> {
  const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const ids = new Uint32Array(width * height);
  for (let at = 0, from = 0; at < ids.length; at++, from += channels) {
    const red = data[from] as number;
    ids[at] = colour
      ? red + 256 * (data[from + 1] as number) + 65_536 * (data[from + 2] as number)
      : red;
  }
  return { width, height, ids };
}

async function readWords(image: Sharp): Promise<IdMap> {
  const { data, info } = await image
    .toColourspace('grey16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const ids = new Uint32Array(width * height);
  for (let at = 0; at < ids.length; at++) ids[at] = data.readUInt16LE(2 * at * channels);
  return { width, height, ids };
}

const SIGNATURE = 8;
const IHDR_DEPTH = SIGNATURE + 16;

/**
 * A palette PNG whose colours are their own numbers, since two entries may have one colour; undefined
 * for what is no such file.
 */
function withIndicesForColours(png: Buffer): Buffer | undefined {
  const parts = [png.subarray(0, SIGNATURE)];
  let found = false;
  for (let at = SIGNATURE; at + 12 <= png.length; ) {
    const end = at + 12 + png.readUInt32BE(at);
    const type = png.toString('latin1', at + 4, at + 8);
    if (type === 'PLTE') {
      found = true;
      parts.push(chunk('PLTE', greys(2 ** (png[IHDR_DEPTH] as number))));
    } else if (type !== 'tRNS') {
      parts.push(png.subarray(at, end));
    }
    at = end;
  }
  return found ? Buffer.concat(parts) : undefined;
}

const greys = (count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, index) => [index, index, index]).flat());

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}
