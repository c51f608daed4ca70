/** Maps of numbers in PNG files: panoptic ids in three bytes, class ids in one or two. */
import sharp from 'sharp';
import { LIMITS } from '../options.js';
import { dataError } from './annotation-file.js';

export interface IdMap {
  readonly width: number;
  readonly height: number;
  readonly ids: Uint32Array;
}

/**
 * Reads R + 256 G + 65536 B of a colour PNG, or the values of a grey or palette PNG as stored.
 *
 * @throws LexisegError `ERR_DATA` that names the file.
 */
export async function readIdMap(path: string): Promise<IdMap> {
  try {
    const { data, info } = await sharp(path, { limitInputPixels: LIMITS.imagePixels })
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    const ids = new Uint32Array(width * height);
    for (let at = 0, from = 0; at < ids.length; at++, from += channels) {
      const red = data[from] as number;
      ids[at] =
        channels < 3
          ? red
          : red + 256 * (data[from + 1] as number) + 65_536 * (data[from + 2] as number);
    }
    return { width, height, ids };
  } catch (cause) {
    const reason = (cause as Error).message?.split('\n')[0] ?? String(cause);
    return dataError(path, '', `cannot be read as a map of ids: ${reason}`, cause);
  }
}
