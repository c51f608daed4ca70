/** Accepted images → upright 8-bit RGB pixels; decoding happens on sharp's threads. */
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { expected, LexisegError } from './errors.js';
import { throwIfAborted, unlessAborted } from './job.js';
import { checkOptions, LIMITS } from './options.js';
import { lendMemory } from './tensor.js';

/** Pixels as they lie in memory: row-major, 8 bits, no padding between rows. */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; from the length when left out. */
  readonly channels?: 1 | 2 | 3 | 4 | undefined;
}

/**
 * A path, the bytes of an encoded file, raw pixels, or a sharp instance (cloned, not consumed).
 * Files are turned upright by their EXIF orientation and converted to sRGB; transparent pixels
 * are laid on white.
 */
export type ImageInput = string | URL | Uint8Array | ArrayBuffer | RawImage | Sharp;

/** Upright 8-bit sRGB pixels, row-major. */
export interface DecodedImage {
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface DecodeOptions {
  readonly signal: AbortSignal | undefined;
  readonly copy: ImageMemory;
}

/**
 * Whose memory is read: the caller's, of which `auto` makes a copy and `never` is lent, or `own`, the
 * call's, which needs neither.
 */
export type ImageMemory = 'auto' | 'never' | 'own';

const RAW_KEYS = ['data', 'width', 'height', 'channels'];
/** Blank paper under transparent pixels, as viewers show them. */
const PAPER = '#ffffff';

/**
 * The pixels of one image.
 *
 * @throws LexisegError `ERR_IMAGE_READ` when it cannot be decoded, `ERR_IMAGE_SIZE` when it is
 *   empty or too large; TypeError for anything that is no image.
 */
export async function decodeImage(
  input: ImageInput,
  options: DecodeOptions,
): Promise<DecodedImage> {
  throwIfAborted(options.signal);
  const decoding = decode(input, options.copy);
  // One that is fed by a stream may never end; lent memory is read until it does.
  const mayHang = isSharp(input) && options.copy !== 'never';
  const decoded = await (mayHang ? unlessAborted(decoding, options.signal) : decoding);
  throwIfAborted(options.signal);
  return decoded;
}

/** The same image in memory of its own, for a call that decodes it later; a path stays a path. */
export function ownImage(input: ImageInput): ImageInput {
  if (input instanceof ArrayBuffer) return ownBytes(new Uint8Array(input));
  if (input instanceof Uint8Array) return ownBytes(input);
  if (isSharp(input)) return input.clone();
  if (input === null || typeof input !== 'object' || !('data' in input)) return input;
  const { data, width, height, channels } = input;
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) return input;
  // The other keys stay, so that decoding can refuse them; the known ones may be getters.
  return { ...input, data: ownBytes(data), width, height, channels };
}

/** A copy; what decoding refuses anyway, a transferred array above all, stays as it is. */
function ownBytes(bytes: Uint8Array | Uint8ClampedArray): Uint8Array {
  const usable = bytes.byteLength > 0 && bytes.byteLength <= LIMITS.imageFileBytes;
  return usable ? new Uint8Array(bytes) : (bytes as Uint8Array);
}

async function decode(input: ImageInput, copy: ImageMemory): Promise<DecodedImage> {
  if (typeof input === 'string' || input instanceof URL) return decodeFile(input);
  if (input instanceof ArrayBuffer) return decodeBytes(new Uint8Array(input), copy);
  if (input instanceof Uint8Array) return decodeBytes(input, copy);
  if (isSharp(input)) return decodeSharp(input);
  if (input !== null && typeof input === 'object' && 'data' in input) return fromRaw(input, copy);
  throw expected('a path, a Buffer, raw pixels or a sharp instance', 'image', input);
}

async function decodeFile(path: string | URL): Promise<DecodedImage> {
  const name = String(path);
  let bytes: number;
  try {
    const info = await stat(path);
    if (!info.isFile()) throw new Error('not a regular file');
    bytes = info.size;
  } catch (cause) {
    throw unreadable(name, cause);
  }
  checkFileSize(bytes, name);
  const file = typeof path === 'string' ? path : fileURLToPath(path);
  return decodeWith(() => sharp(file, SHARP_OPTIONS), name);
}

async function decodeBytes(bytes: Uint8Array, copy: ImageMemory): Promise<DecodedImage> {
  const name = 'the image';
  checkFileSize(bytes.byteLength, name);
  if (copy === 'never') lendMemory(bytes);
  // sharp reads these bytes on another thread, where a transferred buffer would be a crash.
  // The slice of a Buffer would be no copy.
  const own = copy === 'auto' ? new Uint8Array(bytes) : bytes;
  return decodeWith(() => sharp(own, SHARP_OPTIONS), name);
}

/** Pixels beyond sharp's own limit are refused by us, with our code. */
const SHARP_OPTIONS = { failOn: 'truncated', limitInputPixels: false } as const;

async function decodeWith(openImage: () => Sharp, name: string): Promise<DecodedImage> {
  let image: Sharp;
  let metadata: Metadata;
  try {
    image = openImage();
    metadata = await image.metadata();
  } catch (cause) {
    throw unreadable(name, cause);
  }
  checkPixels(metadata.width, metadata.height, name);
  return toRgb(image.autoOrient(), metadata, name);
}

async function decodeSharp(given: Sharp): Promise<DecodedImage> {
  const image = given.clone().autoOrient();
  // sharp knows no metadata of several images that it joins, and tells of others' faults below.
  const metadata = await image.metadata().catch(() => undefined);
  return toRgb(image, metadata, 'the sharp instance');
}

/**
 * The end of every pipeline: raw 8-bit sRGB, transparent pixels laid on white.
 *
 * @param metadata of the pipeline's input; undefined for raw pixels.
 */
export function asSrgb(image: Sharp, metadata: Metadata | undefined): Sharp {
  // With a profile, sharp takes 16 bits to Display P3 and calls those numbers sRGB.
  const isDeep = metadata?.space === 'rgb16' && metadata.hasProfile;
  return (isDeep ? image.pipelineColourspace('srgb') : image)
    .flatten({ background: PAPER })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' });
}

/** 8-bit sRGB without alpha from any kind of pixels. */
async function toRgb(
  image: Sharp,
  metadata: Metadata | undefined,
  name: string,
): Promise<DecodedImage> {
  try {
    const { data, info } = await asSrgb(image, metadata).toBuffer({ resolveWithObject: true });
    checkPixels(info.width, info.height, name);
    const { width, height, channels } = info;
    if (channels === 3) return { rgb: data, width, height };
    if (channels === 1) return { rgb: await greyToRgb(data, width, height), width, height };
    throw new Error(`decoded to ${channels} channels`);
  } catch (cause) {
    throw cause instanceof LexisegError ? cause : unreadable(name, cause);
  }
}

async function greyToRgb(data: Buffer, width: number, height: number): Promise<Uint8Array> {
  const raw = { width, height, channels: 1 } as const;
  return sharp(data, { raw, limitInputPixels: false })
    .joinChannel([data, data], { raw })
    .toColourspace('srgb')
    .raw()
    .toBuffer();
}

async function fromRaw(input: RawImage, copy: ImageMemory): Promise<DecodedImage> {
  checkOptions(input, RAW_KEYS, 'image');
  const { data, width, height } = input;
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw expected('a Uint8Array', 'image.data', data);
  }
  checkPixels(width, height, 'the raw image');
  const pixels = width * height;
  const channels = input.channels ?? data.byteLength / pixels;
  if (![1, 2, 3, 4].includes(channels) || data.byteLength !== pixels * channels) {
    const detached = data.byteLength === 0 ? ' (was its buffer transferred?)' : '';
    throw new LexisegError(
      'ERR_IMAGE_SIZE',
      `Expected ${width} × ${height} × ${input.channels ?? '1 to 4'} bytes for image.data ` +
        `but received ${data.byteLength}${detached}`,
      { details: { width, height, channels: input.channels, bytes: data.byteLength } },
    );
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (channels === 3) {
    if (copy === 'never') lendMemory(bytes);
    return { rgb: copy === 'auto' ? bytes.slice() : bytes, width, height };
  }
  // Copied before the first await: a caller may reuse or transfer the array right after the call.
  const raw = { width, height, channels: channels as 1 | 2 | 4 };
  const image = sharp(bytes.slice(), { raw, limitInputPixels: false });
  return toRgb(image, undefined, 'the raw image');
}

/** sharp instances of another copy of sharp count as well. */
function isSharp(value: unknown): value is Sharp {
  const candidate = value as Partial<Sharp> | null;
  return (
    typeof candidate === 'object' &&
    typeof candidate?.clone === 'function' &&
    typeof candidate.metadata === 'function' &&
    typeof candidate.autoOrient === 'function'
  );
}

function checkPixels(width: unknown, height: unknown, name: string): void {
  const whole = Number.isInteger(width) && Number.isInteger(height);
  const [w, h] = [width as number, height as number];
  if (whole && w >= 1 && h >= 1) {
    if (w <= LIMITS.imageSide && h <= LIMITS.imageSide && w * h <= LIMITS.imagePixels) return;
  }
  throw new LexisegError(
    'ERR_IMAGE_SIZE',
    `Expected 1 to ${LIMITS.imageSide} pixels a side and at most ${LIMITS.imagePixels} in all ` +
      `for ${name} but received ${String(width)} × ${String(height)}`,
    { details: { width, height, limit: LIMITS.imagePixels } },
  );
}

function checkFileSize(bytes: number, name: string): void {
  if (bytes > 0 && bytes <= LIMITS.imageFileBytes) return;
  const what = bytes === 0 ? 'empty' : `${bytes} bytes long`;
  throw new LexisegError('ERR_IMAGE_READ', `Cannot decode ${name}: it is ${what}`, {
    details: { name, bytes, limit: LIMITS.imageFileBytes },
  });
}

function unreadable(name: string, cause: unknown): LexisegError {
  const reason = (cause as Error).message?.split('\n')[0] ?? String(cause);
  return new LexisegError('ERR_IMAGE_READ', `Cannot decode ${name}: ${reason}`, {
    cause,
    details: { name },
  });
}
