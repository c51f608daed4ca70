/** The public face of a native tensor: shape, dtype, device, zero-copy data, dispose. */
import { markAsUntransferable } from 'node:worker_threads';
import { expected, LexisegError, outOfRange } from './errors.js';
import { callNative, runJob } from './job.js';
import { type DType, type NativeTensor, native, type TensorData } from './native.js';
import { booleanValue, type CallOptions, checkOptions, oneOf } from './options.js';

export type { DType, TensorData } from './native.js';

const DTYPES: readonly DType[] = [
  'float32',
  'bfloat16',
  'float16',
  'float64',
  'int64',
  'int32',
  'int16',
  'uint8',
  'bool',
];
const MAX_DIMENSIONS = 16;
const MAX_ELEMENTS = 2 ** 40;

export interface TensorFromOptions {
  readonly dtype?: DType | undefined;
  /**
   * `auto` copies. `never` borrows: until the tensor is disposed, and every call that was given
   * it has settled, the array must not be written, resized or shared; it can be transferred no more.
   */
  readonly copy?: 'auto' | 'never' | undefined;
}

/** A native tensor. Its memory is freed by `dispose`, `using`, or the garbage collector. */
export class Tensor implements Disposable {
  readonly #native: NativeTensor;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** `cpu` or `cuda:n`. */
  readonly device: string;
  readonly byteLength: number;

  private constructor(handle: NativeTensor) {
    this.#native = handle;
    this.shape = Object.freeze([...handle.shape]);
    this.dtype = handle.dtype;
    this.device = handle.device;
    this.byteLength = handle.byteLength;
  }

  /** Zeroed memory of our own, 64-byte aligned, or pinned for fast copies to a GPU. */
  static alloc(
    shape: readonly number[],
    dtype: DType,
    options: { readonly pinned?: boolean | undefined } = {},
  ): Tensor {
    checkOptions(options, ['pinned'], 'options');
    checkShape(shape);
    oneOf(dtype, DTYPES, 'dtype');
    const pinned = booleanValue(options.pinned ?? false, 'options.pinned');
    return new Tensor(callNative(() => native().allocTensor([...shape], dtype, pinned)));
  }

  /** A tensor of the numbers in a typed array, copied or borrowed. */
  static from(data: TensorData, shape: readonly number[], options: TensorFromOptions = {}): Tensor {
    checkOptions(options, ['dtype', 'copy'], 'options');
    const elements = checkShape(shape);
    const dtype =
      options.dtype === undefined ? dtypeOf(data) : oneOf(options.dtype, DTYPES, 'dtype');
    const copy = oneOf(options.copy ?? 'auto', ['auto', 'never'], 'options.copy');
    checkArray(data, dtype, elements);
    if (copy === 'auto') {
      return new Tensor(callNative(() => native().copyTensor(data, [...shape], dtype)));
    }
    lendMemory(data);
    return new Tensor(callNative(() => native().borrowTensor(data, [...shape], dtype)));
  }

  /** @internal */
  static wrap(handle: NativeTensor): Tensor {
    return new Tensor(handle);
  }

  /** @internal The native handle; throws `ERR_DISPOSED` after dispose. */
  static unwrap(tensor: Tensor, name: string): NativeTensor {
    if (!(tensor instanceof Tensor)) throw expected('a Tensor', name, tensor);
    if (tensor.disposed) {
      throw new LexisegError('ERR_DISPOSED', `${name} was used after dispose`);
    }
    return tensor.#native;
  }

  get disposed(): boolean {
    return this.#native.disposed;
  }

  /**
   * The numbers themselves, not a copy: detached by `dispose`, and not to be transferred (Node
   * refuses that of every buffer whose memory an addon owns). Only for tensors on the CPU;
   * `await tensor.to({ device: 'cpu' })` brings others over.
   */
  get data(): TensorData {
    const handle = Tensor.unwrap(this, 'tensor');
    return callNative(() => handle.data());
  }

  /** A copy on another device or of another dtype. */
  async to(
    options: CallOptions & {
      readonly device?: string | undefined;
      readonly dtype?: DType | undefined;
    },
  ): Promise<Tensor> {
    checkOptions(options, ['device', 'dtype', 'signal'], 'options');
    const handle = Tensor.unwrap(this, 'tensor');
    const device = options.device ?? this.device;
    if (typeof device !== 'string') throw expected('a device name', 'options.device', device);
    const dtype = oneOf(options.dtype ?? this.dtype, DTYPES, 'options.dtype');
    return new Tensor(await runJob(options.signal, (job) => handle.to(job, device, dtype)));
  }

  /** Frees the memory and detaches `data`; idempotent. Calls in flight keep what they need. */
  dispose(): void {
    this.#native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor(${this.dtype} [${this.shape.join(', ')}] on ${this.device})`;
  }
}

/** Number of elements of a valid shape. */
function checkShape(shape: readonly number[]): number {
  if (!Array.isArray(shape)) throw expected('an array of sizes', 'shape', shape);
  if (shape.length > MAX_DIMENSIONS) {
    throw outOfRange(`at most ${MAX_DIMENSIONS} dimensions`, 'shape', shape.length);
  }
  let elements = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw outOfRange('non-negative integers', 'shape', size);
    }
    elements *= size;
  }
  if (elements > MAX_ELEMENTS) throw outOfRange('fewer elements', 'shape', elements);
  return elements;
}

const ARRAY_OF_DTYPE: Readonly<Record<DType, readonly string[]>> = {
  float32: ['Float32Array'],
  bfloat16: ['Uint16Array'],
  float16: ['Uint16Array', 'Float16Array'],
  float64: ['Float64Array'],
  int64: ['BigInt64Array'],
  int32: ['Int32Array'],
  int16: ['Int16Array'],
  uint8: ['Uint8Array', 'Uint8ClampedArray'],
  bool: ['Uint8Array'],
};

function dtypeOf(data: TensorData): DType {
  const kind = arrayKind(data);
  if (kind === 'Uint16Array')
    throw expected('a dtype beside a Uint16Array', 'options.dtype', undefined);
  const found = DTYPES.find((dtype) => ARRAY_OF_DTYPE[dtype].includes(kind));
  if (found === undefined) throw expected('a typed array of a known dtype', 'data', data);
  return found;
}

function checkArray(data: TensorData, dtype: DType, elements: number): void {
  const kind = arrayKind(data);
  if (!ARRAY_OF_DTYPE[dtype].includes(kind)) {
    throw expected(ARRAY_OF_DTYPE[dtype].join(' or '), `data of dtype ${dtype}`, data);
  }
  if (data.length !== elements) {
    const detached = data.byteLength === 0 && elements > 0 ? ' (was it transferred?)' : '';
    throw new LexisegError(
      'ERR_TENSOR',
      `Expected ${elements} elements for data but received ${data.length}${detached}`,
      { details: { expected: elements, received: data.length } },
    );
  }
}

/**
 * Lets a native reader have a caller's memory: it can then be transferred no more, which would free
 * it under the reader. Refuses memory that may shrink or be shared.
 */
export function lendMemory(data: ArrayBufferView): void {
  if (isFixedMemory(data)) {
    markAsUntransferable(data.buffer);
    for (const name of ['transfer', 'transferToFixedLength']) {
      const plain = name in data.buffer && !Object.hasOwn(data.buffer, name);
      if (plain) Object.defineProperty(data.buffer, name, REFUSES);
    }
    return;
  }
  throw new LexisegError(
    'ERR_TENSOR',
    'Only a typed array over a plain ArrayBuffer of fixed size can be borrowed; use copy: "auto"',
  );
}

/** These methods do not ask whether memory may be transferred. */
const REFUSES: PropertyDescriptor = {
  value: (): never => {
    throw new LexisegError('ERR_TENSOR', 'Memory that is lent cannot be transferred');
  },
};

function isFixedMemory(data: ArrayBufferView): boolean {
  const { buffer } = data;
  return buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable;
}

/** Typed array class without subclasses: a Buffer is a Uint8Array. */
function arrayKind(data: unknown): string {
  if (!ArrayBuffer.isView(data) || data instanceof DataView) return '';
  const tag = Object.getOwnPropertyDescriptor(
    Object.getPrototypeOf(Uint8Array.prototype),
    Symbol.toStringTag,
  )?.get?.call(data);
  return typeof tag === 'string' ? tag : '';
}
