/** A loaded bundle: what it computes, and every method in every state. */
import { afterEach, describe, expect, it } from 'vitest';
import { type NativeTensor, native } from '../../lib/native.js';
import type { NativeModel } from '../../lib/native-model.js';
import {
  expectCode,
  loadTiny,
  someClasses,
  someImage,
  someTokens,
  stages,
  tinyBundle,
} from './bundle.js';

const loaded: NativeModel[] = [];

async function model(): Promise<NativeModel> {
  const made = await loadTiny();
  loaded.push(made);
  return made;
}

afterEach(async () => {
  for (const made of loaded.splice(0)) await made.dispose();
});

/** Every method, called with what it wants. */
const calls: Record<string, (made: NativeModel, given: Given) => Promise<unknown>> = {
  encodeText: (made, given) => made.encodeText(native().createJob(), given.tokens),
  proposeMasks: (made, given) => made.proposeMasks(native().createJob(), given.image),
  classifyMasks: (made, given) =>
    made.classifyMasks(
      native().createJob(),
      given.proposals,
      given.embeddings,
      given.counts,
      given.seen,
    ),
  profile: (made, given) => made.profile(native().createJob(), given.image, stages),
};

interface Given {
  tokens: NativeTensor;
  image: NativeTensor;
  proposals: NativeTensor[];
  embeddings: NativeTensor;
  counts: NativeTensor;
  seen: NativeTensor;
}

async function given(made: NativeModel): Promise<Given> {
  const image = someImage(64, 80);
  const proposals = await made.proposeMasks(native().createJob(), image);
  return { tokens: someTokens(2, 5), image, proposals, ...(await someClasses(made, 3)) };
}

describe('a model', () => {
  it('says what it is and where', async () => {
    const info = (await model()).info();
    expect(info.device).toBe('cpu');
    expect(info.dtype).toBe('float32');
    expect(info.reason).toContain('asked for');
    expect(info.weightBytes).toBeGreaterThan(1e6);
    expect(info.methods).toEqual(
      expect.arrayContaining(['encode_text', 'propose_masks', 'classify_masks', ...stages]),
    );
  });

  it('chooses the dtype by the processor when asked for auto', async () => {
    const made = await loadTiny('auto');
    loaded.push(made);
    const native16 = native()
      .cpuFeatures()
      .some((name) => name === 'avx512_bf16' || name === 'amx_bf16');
    expect(made.info().dtype).toBe(native16 ? 'bfloat16' : 'float32');
    expect(made.info().reason).toContain('auto');
  });

  it('gives class log-probabilities that add up to one', async () => {
    const made = await model();
    const all = await given(made);
    const logProbs = (await calls.classifyMasks?.(made, all)) as NativeTensor;
    expect(logProbs.shape).toEqual([1, all.proposals[0]?.shape[1], 4]);
    const row = [...(logProbs.data() as Float32Array).slice(0, 4)];
    expect(row.reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1, 3);
  });

  it('does not depend on what the caller does to the image afterwards', async () => {
    const made = await model();
    const image = someImage(50, 60);
    const expected = (await made.proposeMasks(native().createJob(), image))[0]?.data();
    const running = made.proposeMasks(native().createJob(), image);
    image.dispose();
    expect((await running)[0]?.data()).toEqual(expected);
  });

  it('runs on borrowed memory', async () => {
    const made = await model();
    const bytes = new Uint8Array(40 * 30 * 3).map((_, i) => (i * 7) % 251);
    const borrowed = native().borrowTensor(bytes, [1, 40, 30, 3], 'uint8');
    const copied = native().copyTensor(bytes, [1, 40, 30, 3], 'uint8');
    const [one, other] = await Promise.all([
      made.proposeMasks(native().createJob(), borrowed),
      made.proposeMasks(native().createJob(), copied),
    ]);
    expect(one[0]?.data()).toEqual(other[0]?.data());
  });

  it('refuses wrong arguments by rejecting', async () => {
    const made = await model();
    const all = await given(made);
    const job = () => native().createJob();
    await expectCode(() => made.encodeText(job(), all.image), 'ERR_TENSOR');
    await expectCode(() => made.proposeMasks(job(), all.tokens), 'ERR_TENSOR');
    const floats = native().allocTensor([1, 8, 8, 3], 'float32', false);
    await expectCode(() => made.proposeMasks(job(), floats), 'ERR_TENSOR');
    const empty = native().allocTensor([1, 0, 8, 3], 'uint8', false);
    await expectCode(() => made.proposeMasks(job(), empty), 'ERR_IMAGE_SIZE');
    await expectCode(
      () => made.classifyMasks(job(), all.proposals.slice(1), all.embeddings, all.counts, all.seen),
      'ERR_TENSOR',
    );
    await expectCode(() => made.profile(job(), all.image, ['nowhere']), 'ERR_BUNDLE_CONTRACT');
    for (const wrong of [undefined, null, 3, 'x', {}, job()]) {
      await expect(made.encodeText(job(), wrong as never)).rejects.toThrow(TypeError);
      await expect(made.encodeText(wrong as never, wrong as never)).rejects.toThrow(TypeError);
    }
    all.tokens.dispose();
    await expectCode(() => made.encodeText(job(), all.tokens), 'ERR_DISPOSED');
  });

  it('keeps the stack of the call that failed', async () => {
    const made = await model();
    async function theCallerByName(): Promise<unknown> {
      return made.encodeText(native().createJob(), someImage(4, 4));
    }
    const failure = await expectCode(theCallerByName, 'ERR_TENSOR');
    expect(failure.stack).toContain('theCallerByName');
    expect(failure.stack).toContain(failure.message);
    expect(failure.stack).not.toContain('frame #');
  });

  it('refuses a job that was used before', async () => {
    const made = await model();
    const job = native().createJob();
    await made.encodeText(job, someTokens(1, 4));
    await expectCode(() => made.encodeText(job, someTokens(1, 4)), 'ERR_ARGUMENT');
  });
});

describe.each(Object.keys(calls))('%s', (name) => {
  const call = calls[name] as (made: NativeModel, all: Given) => Promise<unknown>;

  it('runs when idle, and beside itself', async () => {
    const made = await model();
    const all = await given(made);
    await call(made, all);
    const results = await Promise.all([1, 2, 3].map(() => call(made, all)));
    expect(results.length).toBe(3);
  });

  it('finishes when dispose comes while it waits or runs', async () => {
    const made = await model();
    const all = await given(made);
    const order: string[] = [];
    const first = call(made, all).then(() => order.push('first'));
    const second = call(made, all).then(() => order.push('second'));
    const disposal = made.dispose().then(() => order.push('disposed'));
    await Promise.all([first, second, disposal]);
    expect(order).toEqual(['first', 'second', 'disposed']);
  });

  it('is refused while disposing and when disposed', async () => {
    const made = await model();
    const all = await given(made);
    const running = call(made, all);
    const disposal = made.dispose();
    await expectCode(() => call(made, all), 'ERR_DISPOSED');
    await running;
    await disposal;
    await expectCode(() => call(made, all), 'ERR_DISPOSED');
    await expectCode(() => made.info(), 'ERR_DISPOSED');
    await made.dispose();
  });
});

describe('memory', () => {
  it('counts the weights until dispose', async () => {
    const before = native().memoryStats().weights;
    const made = await loadTiny();
    expect(native().memoryStats().weights - before).toBe(made.info().weightBytes);
    await made.dispose();
    expect(native().memoryStats().weights).toBe(before);
  });

  it('counts waiting and running jobs', async () => {
    const made = await model();
    const image = someImage(256, 256);
    const running = [1, 2, 3].map(() => made.proposeMasks(native().createJob(), image));
    const { waiting, running: now } = native().memoryStats();
    expect(waiting + now).toBeGreaterThan(1);
    await Promise.all(running);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(native().memoryStats()).toMatchObject({ waiting: 0, running: 0 });
  });

  it('refuses devices that are not there, with the reason', async () => {
    const load = (device: string, dtype = 'auto', threads = 0) =>
      native().loadModel(native().createJob(), tinyBundle, device, dtype, threads);
    await expectCode(() => load('tpu'), 'ERR_ARGUMENT');
    await expectCode(() => load('cpu', 'float8'), 'ERR_ARGUMENT');
    await expect(load('cpu', 'auto', -1)).rejects.toThrow(RangeError);
    await expect(load('cpu', 'auto', 0.5)).rejects.toThrow(RangeError);
    const reason = native().cudaUnavailableReason();
    if (reason === null) return;
    const failure = await expectCode(() => load('cuda'), 'ERR_DEVICE');
    expect(failure.message).toContain(reason);
  });
});
