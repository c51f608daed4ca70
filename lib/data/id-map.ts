/** Maps of numbers in PNG and TIFF files: panoptic ids in three bytes, class ids in one or two. */
import { readFile } from 'node:fs/promises';
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
    const image = sharp(file, { limitInputPixels: LIMITS.imagePixels });
    const { depth, isPalette, channels } = await image.metadata();
    if (depth === 'ushort') return await readWords(image);
    const map = await readBytes(image, isPalette || channels >= 3);
    return isPalette ? { ...map, ids: indicesOf(map.ids, file) } : map;
  } catch (cause) {
    const reason = (cause as Error).message?.split('\n')[0] ?? String(cause);
    return dataError(path, '', `cannot be read as a map of ids: ${reason}`, cause);
  }
}

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

/** The decoder gives a palette's colours; which entry each was is in the file. */
function indicesOf(colours: Uint32Array, png: Buffer): Uint32Array {
  const palette = paletteOf(png);
  if (palette === undefined) return colours;
  const indexOf = new Map<number, number>();
  for (let index = 0; index < palette.length / 3; index++) {
    const [red, green, blue] = palette.subarray(3 * index) as unknown as [number, number, number];
    const colour = red + 256 * green + 65_536 * blue;
    if (!indexOf.has(colour)) indexOf.set(colour, index);
  }
  return colours.map((colour) => indexOf.get(colour) ?? 0);
}

/** The PLTE chunk of a PNG file, RGB by entry. */
function paletteOf(png: Buffer): Buffer | undefined {
  let at = 8;
  while (at + 12 <= png.length) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'PLTE') {
      return png.subarray(at + 8, at + 8 + length);
    }
    at += 12 + length;
  }
  return undefined;
}
