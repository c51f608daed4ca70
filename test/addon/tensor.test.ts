/** Tensors at the boundary: whose memory it is, and every way in which a typed array can be wrong. */
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { type DType, native, type TensorData } from '../../lib/native.js';
import { expectCode } from './bundle.js';

const arrays: readonly [DType, TensorData][] = [
  ['float32', Float32Array.of(1.5, -2, 3)],
  ['float64', Float64Array.of(1.5, -2, 3)],
  ['bfloat16', Uint16Array.of(0x3f80, 0x4000, 0)],
  ['float16', Uint16Array.of(0x3c00, 0x4000, 0)],
  ['int64', BigInt64Array.of(1n, -(2n ** 62n), 3n)],
  ['int32', Int32Array.of(1, -2, 3)],
  ['int16', Int16Array.of(1, -2, 3)],
  ['uint8', Uint8Array.of(1, 2, 255)],
  ['bool', Uint8Array.of(1, 0, 1)],
];

describe('copyTensor', () => {
  it.each(arrays)('keeps the numbers of %s and leaves the array alone', (dtype, data) => {
    const tensor = native().copyTensor(data, [1, 3], dtype);
    expect(tensor.shape).toEqual([1, 3]);
    expect(tensor.dtype).toBe(dtype);
    expect(tensor.device).toBe('cpu');
    expect(tensor.byteLength).toBe(data.byteLength);
    expect(tensor.data()).toEqual(data);
    expect(tensor.data()).not.toBe(data);
    data[0] = data[1] as never;
    expect(tensor.data()[0]).not.toBe(data[0]);
  });

  it('reads a part of a buffer, a clamped array and a shared one', () => {
    const whole = Float32Array.from({ length: 10 }, (_, i) => i);
    const part = native().copyTensor(whole.subarray(3, 5), [2], 'float32');
    expect([...(part.data() as Float32Array)]).toEqual([3, 4]);
    const clamped = new Uint8ClampedArray([1, 2]) as unknown as Uint8Array;
    expect([...(native().copyTensor(clamped, [2], 'uint8').data() as Uint8Array)]).toEqual([1, 2]);
    const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
    expect([...(native().copyTensor(shared, [4], 'uint8').data() as Uint8Array)]).toEqual([
      7, 7, 7, 7,
    ]);
  });

  it('refuses lengths, kinds and shapes that do not agree', async () => {
    const data = new Float32Array(6);
    const call = (shape: unknown, dtype: unknown = 'float32', array: unknown = data) => {
      return () => native().copyTensor(array as TensorData, shape as number[], dtype as DType);
    };
    await expectCode(call([5]), 'ERR_TENSOR');
    await expectCode(call([7]), 'ERR_TENSOR');
    await expectCode(call([2, 2]), 'ERR_TENSOR');
    await expectCode(call([0]), 'ERR_TENSOR');
    await expectCode(call(new Array(17).fill(1)), 'ERR_TENSOR');
    await expectCode(call([2 ** 20, 2 ** 20, 2 ** 20]), 'ERR_TENSOR');
    expect(call([6], 'int32')).toThrow(TypeError);
    expect(call([6], 'float8')).toThrow(TypeError);
    expect(call([6], undefined)).not.toThrow();
    expect(call([6], 6)).toThrow(TypeError);
    expect(call([-6])).toThrow(RangeError);
    expect(call([1.5, 4])).toThrow(RangeError);
    expect(call([Number.NaN])).toThrow(RangeError);
    expect(call(['6'])).toThrow(TypeError);
    expect(call(6)).toThrow(TypeError);
    for (const wrong of [null, undefined, 'x', 5, {}, [1, 2], new DataView(new ArrayBuffer(8))]) {
      expect(() => native().copyTensor(wrong as never, [6], 'float32')).toThrow(TypeError);
    }
  });

  it('refuses an array whose buffer was transferred away', async () => {
    const data = new Float32Array(4);
    const { port1, port2 } = new MessageChannel();
    port1.postMessage(data.buffer, [data.buffer]);
    await expectCode(() => native().copyTensor(data, [4], 'float32'), 'ERR_TENSOR');
    expect(native().copyTensor(data, [0], 'float32').byteLength).toBe(0);
    port1.close();
    port2.close();
  });

  it('reads a resizable buffer as long as it is now', async () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 64 });
    const data = new Uint8Array(buffer);
    expect(native().copyTensor(data, [16], 'uint8').byteLength).toBe(16);
    (buffer as unknown as { resize(size: number): void }).resize(8);
    await expectCode(() => native().copyTensor(data, [16], 'uint8'), 'ERR_TENSOR');
    expect(native().copyTensor(data, [8], 'uint8').byteLength).toBe(8);
  });
});

describe('borrowTensor', () => {
  it('shows the very memory of the caller', () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const tensor = native().borrowTensor(data, [2, 2], 'float32');
    expect(tensor.data()).toBe(data);
    tensor.dispose();
    expect(data[3]).toBe(4);
    expect(tensor.disposed).toBe(true);
  });

  it('keeps the array alive for as long as the tensor', async () => {
    const collect = (globalThis as { gc?: () => void }).gc;
    expect(collect, 'the tests run with --expose-gc').toBeDefined();
    const tensor = (() => {
      const data = new Int32Array(1_000_000).fill(7);
      return native().borrowTensor(data, [1_000_000], 'int32');
    })();
    for (let i = 0; i < 3; i += 1) {
      collect?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const copy = await tensor.to(native().createJob(), 'cpu', 'int64');
    expect((copy.data() as BigInt64Array).every((value) => value === 7n)).toBe(true);
  });

  it('refuses shared, resizable and misaligned memory', async () => {
    const borrow = (data: TensorData, length: number) => () =>
      native().borrowTensor(data, [length], 'uint8');
    await expectCode(borrow(new Uint8Array(new SharedArrayBuffer(8)), 8), 'ERR_TENSOR');
    const resizable = new ArrayBuffer(8, { maxByteLength: 16 });
    await expectCode(borrow(new Uint8Array(resizable), 8), 'ERR_TENSOR');
    expect(borrow(new Uint8Array(8), 8)().byteLength).toBe(8);
  });
});

describe('allocTensor', () => {
  it('gives zeroed memory whose one view reads and writes it', async () => {
    const tensor = native().allocTensor([3, 5], 'float32', false);
    const data = tensor.data() as Float32Array;
    expect(data.length).toBe(15);
    expect(data.every((value) => value === 0)).toBe(true);
    expect(tensor.data()).toBe(data);
    data[7] = 42;
    const copy = await tensor.to(native().createJob(), 'cpu', 'float64');
    expect(copy.data()[7]).toBe(42);
  });

  it('refuses sizes beyond memory and pinned memory without CUDA', async () => {
    await expectCode(() => native().allocTensor([2 ** 40], 'float32', false), 'ERR_TENSOR');
    await expectCode(() => native().allocTensor([2 ** 39], 'uint8', false), 'ERR_OUT_OF_MEMORY');
    if (native().cudaUnavailableReason() !== null) {
      await expectCode(() => native().allocTensor([4], 'uint8', true), 'ERR_DEVICE');
    }
  });

  it('makes empty tensors and scalars', () => {
    expect(native().allocTensor([0, 3], 'float32', false).data().length).toBe(0);
    expect(native().allocTensor([], 'int32', false).data().length).toBe(1);
  });
});

describe('a native tensor', () => {
  it('is detached by dispose, which may be called again', async () => {
    const tensor = native().allocTensor([4], 'float32', false);
    const data = tensor.data();
    tensor.dispose();
    tensor.dispose();
    expect(data.length).toBe(0);
    expect(data.buffer.byteLength).toBe(0);
    expect(tensor.disposed).toBe(true);
    await expectCode(() => tensor.data(), 'ERR_DISPOSED');
    await expectCode(() => tensor.to(native().createJob(), 'cpu', 'float32'), 'ERR_DISPOSED');
  });

  it('keeps its numbers in a view that outlives the handle', async () => {
    const data = (() =>
      native()
        .copyTensor(Int32Array.of(5, 6, 7), [3], 'int32')
        .data())();
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setImmediate(resolve));
    expect([...(data as Int32Array)]).toEqual([5, 6, 7]);
  });

  it('converts between dtypes, in memory of its own', async () => {
    const tensor = native().copyTensor(Float32Array.of(1, 2.5), [2], 'float32');
    const half = await tensor.to(native().createJob(), 'cpu', 'bfloat16');
    expect([...(half.data() as Uint16Array)]).toEqual([0x3f80, 0x4020]);
    const same = await tensor.to(native().createJob(), 'cpu', 'float32');
    (same.data() as Float32Array)[0] = 9;
    expect(tensor.data()[0]).toBe(1);
  });

  it('cannot be made, borrowed or confused from JavaScript', async () => {
    const tensor = native().allocTensor([1], 'uint8', false);
    const job = native().createJob();
    const Forged = tensor.constructor as new (...args: unknown[]) => unknown;
    expect(() => new Forged()).toThrow(TypeError);
    expect(() => new Forged({})).toThrow(TypeError);
    expect(() => tensor.data.call(job as never)).toThrow();
    expect(() => tensor.data.call({} as never)).toThrow();
    expect(() => job.cancel.call(tensor as never)).toThrow();
    await expect(tensor.to({} as never, 'cpu', 'uint8')).rejects.toThrow(TypeError);
    await expect(tensor.to(tensor as never, 'cpu', 'uint8')).rejects.toThrow(TypeError);
    await expect(tensor.to(job, 5 as never, 'uint8')).rejects.toThrow(TypeError);
    await expectCode(() => tensor.to(native().createJob(), 'tpu', 'uint8'), 'ERR_ARGUMENT');
  });

  it('is counted while it lives', () => {
    const before = native().memoryStats();
    const tensor = native().allocTensor([1000], 'float64', false);
    const during = native().memoryStats();
    expect(during.handles - before.handles).toBe(1);
    expect((during.tensors.cpu ?? 0) - (before.tensors.cpu ?? 0)).toBe(8000);
    tensor.dispose();
    const after = native().memoryStats();
    expect(after.handles).toBe(before.handles);
    expect(after.tensors.cpu).toBe(before.tensors.cpu ?? 0);
  });
});
