/** Decodes images on sharp's threads and cuts out the part that a sample shows. */
import sharp from 'sharp';
import { LexisegError } from '../errors.js';
import { asSrgb } from '../image.js';
import { LIMITS } from '../options.js';
import type { Window } from './augment.js';
import { resampleRgb } from './resample.js';

/** Up to this many output pixels, a trip to sharp's threads costs more than resampling here. */
const SMALL = 128 * 128;
const OPTIONS = { failOn: 'truncated', limitInputPixels: LIMITS.imagePixels } as const;

export interface OpenImage {
  /** Upright size, pixels. */
  readonly width: number;
  readonly height: number;
  /** uint8, outHeight × outWidth × 3: bilinear about the centres of pixels, antialiased. */
  pixels(window: Window): Promise<Uint8Array>;
}

/**
 * An encoded image, decoded: its upright size and a way to any part of it.
 *
 * @param source a path, or the bytes of an encoded file
 * @param name what errors call it
 * @throws LexisegError `ERR_IMAGE_READ` that names the image.
 */
export async function openImage(source: string | Uint8Array, name: string): Promise<OpenImage> {
  try {
    const image = sharp(source, OPTIONS).autoOrient();
    const decoded = asSrgb(image, isJpeg(source) ? undefined : await image.metadata());
    const { data, info } = await decoded.toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    const rgb = info.channels === 3 ? data : greyToRgb(data);
    return { width, height, pixels: (window) => cut(rgb, width, height, window) };
  } catch (cause) {
    const reason = (cause as Error).message?.split('\n')[0] ?? String(cause);
    throw new LexisegError('ERR_IMAGE_READ', `Cannot decode ${name}: ${reason}`, {
      cause,
      details: { name },
    });
  }
}

/** Eight bits in every channel: what else metadata tells is not asked for. */
function isJpeg(source: string | Uint8Array): boolean {
  return typeof source !== 'string' && source[0] === 0xff && source[1] === 0xd8;
}

async function cut(
  rgb: Uint8Array,
  imageWidth: number,
  imageHeight: number,
  window: Window,
): Promise<Uint8Array> {
  const { left, top, width, height, outWidth, outHeight } = window;
  // What sharp makes larger lies half an output pixel further right and down than the masks do.
  const larger = outWidth > width || outHeight > height;
  if (larger || outWidth * outHeight <= SMALL) return resampleRgb(rgb, imageWidth, window);
  const raw = { width: imageWidth, height: imageHeight, channels: 3 } as const;
  return sharp(rgb, { raw })
    .extract({ left, top, width, height })
    .resize(outWidth, outHeight, { fit: 'fill', kernel: 'linear' })
    .raw()
    .toBuffer();
}

function greyToRgb(grey: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(3 * grey.length);
  for (let at = 0; at < rgb.length; at++) rgb[at] = grey[Math.floor(at / 3)] as number;
  return rgb;
}
