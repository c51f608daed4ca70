/** The one error class and the one table of codes. */

/** Every code a {@link LexisegError} may carry, with what it means. */
export const ERROR_CODES = {
  ERR_LIBTORCH_NOT_FOUND: 'LibTorch was in none of the places searched.',
  ERR_LIBTORCH_PATH: 'A LibTorch path was set explicitly and is wrong.',
  ERR_LIBTORCH_VERSION: 'LibTorch is of another minor version than the addon was built for.',
  ERR_LIBTORCH_INCOMPLETE: 'A library of LibTorch is missing.',
  ERR_LIBTORCH_LOAD: 'The dynamic linker refused a library of LibTorch.',
  ERR_LIBTORCH_INSTALL: 'LibTorch could not be fetched, checked or unpacked.',
  ERR_UNSUPPORTED_LIBC: 'LibTorch needs glibc; this system has another C library.',
  ERR_GLIBC_TOO_OLD: 'The glibc of this system is older than LibTorch needs.',
  ERR_NATIVE_NOT_FOUND: 'No addon binary for this platform.',
  ERR_NATIVE_LOAD: 'The addon binary could not be loaded.',
  ERR_BUNDLE_READ: 'The bundle file could not be opened or is no TorchScript archive.',
  ERR_BUNDLE_MANIFEST: 'The manifest inside the bundle is missing or does not fit its schema.',
  ERR_BUNDLE_VERSION: 'The bundle was written in a format this version does not read.',
  ERR_BUNDLE_HASH: 'The weights do not match the SHA-256 in the manifest.',
  ERR_BUNDLE_CONTRACT:
    'A method of the bundle is missing, or gives something else than its manifest promises.',
  ERR_UNSUPPORTED: 'The bundle cannot do what was asked.',
  ERR_DEVICE: 'The device asked for is not there.',
  ERR_OUT_OF_MEMORY: 'Memory ran out on the host or on the device.',
  ERR_IMAGE_READ: 'An image could not be read or decoded.',
  ERR_IMAGE_SIZE: 'An image is empty or beyond the size limit.',
  ERR_VIDEO: 'A video or a folder of frames could not be read or written.',
  ERR_VOCABULARY: 'A vocabulary is empty, too large, or has unusable names.',
  ERR_TENSOR: 'A tensor or typed array has the wrong shape, dtype, length or state.',
  ERR_ARGUMENT: 'An argument of a native call is wrong.',
  ERR_NOT_FINITE: 'The network gave NaN or infinity.',
  ERR_INFERENCE: 'The network failed while running.',
  ERR_TRAINING: 'The network failed while training.',
  ERR_DATA: 'A data set lacks a file, or holds an annotation that cannot be right.',
  ERR_DISTRIBUTED: 'Processes that train together did not meet, or one of them died.',
  ERR_CHECKPOINT: 'A checkpoint is broken, or belongs to another network or run.',
  ERR_DISPOSED: 'The object was used after dispose.',
  ERR_ABORTED: 'The call was cancelled.',
  ERR_OUTPUT: 'A result could not be written.',
  ERR_CACHE: 'The cache folder could not be used.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error of the world (not of the caller's types), with a stable code. */
export class LexisegError extends Error {
  override readonly name = 'LexisegError';
  readonly code: ErrorCode;
  /** Facts a program may want: paths, sizes, what was tried. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** The one form of a misuse message: "Expected {expected} for {name} but received {value}". */
export function expected(what: string, name: string, value: unknown): TypeError {
  return new TypeError(`Expected ${what} for ${name} but received ${describe(value)}`);
}

/** As {@link expected}, for a value of the right type outside its range. */
export function outOfRange(what: string, name: string, value: unknown): RangeError {
  return new RangeError(`Expected ${what} for ${name} but received ${describe(value)}`);
}

function describe(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  }
  if (value === null || typeof value !== 'object') return String(value);
  const name = value.constructor?.name ?? 'Object';
  return ArrayBuffer.isView(value) ? `${name}(${value.byteLength} bytes)` : name;
}
