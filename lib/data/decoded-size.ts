/** The size of an image that can be decoded to its end. */
import sharp from 'sharp';
import { LexisegError } from '../errors.js';
import { LIMITS, type Size } from '../options.js';

/**
 * Decodes the whole image, so that one cut short is found.
 *
 * @param source a path, or the bytes of an encoded file
 * @param name what errors call it
 * @returns upright size, pixels
 * @throws LexisegError `ERR_DATA` that names the image.
 */
export async function decodedSize(source: string | Uint8Array, name: string): Promise<Size> {
  try {
    const image = sharp(source, { limitInputPixels: LIMITS.imagePixels, failOn: 'truncated' });
    const { info } = await image.autoOrient().raw().toBuffer({ resolveWithObject: true });
    return info;
  } catch (cause) {
    const reason = (cause as Error).message?.split('\n')[0] ?? String(cause);
    throw new LexisegError('ERR_DATA', `${name}: cannot be decoded: ${reason}`, {
      cause,
      details: { name },
    });
  }
}
