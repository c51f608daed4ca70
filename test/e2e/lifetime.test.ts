/** Abort and dispose in every state, broken bundles, and calls with the wrong things. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LexisegError, readManifest, Segmenter, Tensor, type Vocabulary } from '../../lib/index.js';
import { drawScene } from '../fixtures/scene.js';
import { SCENE_CLASSES, TINY_BUNDLE } from './bundle-file.js';

const dir = mkdtempSync(join(tmpdir(), 'lexiseg-lifetime-'));
let segmenter: Segmenter;
let vocabulary: Vocabulary;
let picture: Buffer;

beforeAll(async () => {
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
  vocabulary = await segmenter.createVocabulary(SCENE_CLASSES);
  picture = await drawScene(120, 80);
});
afterAll(async () => {
  await segmenter.dispose();
  rmSync(dir, { recursive: true, force: true });
});

/** Every heavy call with a signal. */
const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  load: (signal) => Segmenter.load(TINY_BUNDLE, { signal, cache: false, verify: true }),
  readManifest: (signal) => readManifest(TINY_BUNDLE, { signal }),
  encodeText: (signal) => segmenter.encodeText(['a', 'b'], { signal }),
  createVocabulary: (signal) => segmenter.createVocabulary([`word ${Math.random()}`], { signal }),
  proposeMasks: (signal) => segmenter.proposeMasks(picture, { signal }),
  segment: (signal) => segmenter.segment([picture, picture, picture], vocabulary, { signal }),
  profile: (signal) => segmenter.profile(picture, vocabulary, { signal }),
};

describe('abort', () => {
  it('before the call: rejects at once with the reason as cause', async () => {
    const reason = new Error('no longer wanted');
    for (const [name, call] of Object.entries(calls)) {
      await expect(call(AbortSignal.abort(reason)), name).rejects.toMatchObject({
        code: 'ERR_ABORTED',
        cause: reason,
      });
    }
  });

  it('during the call: rejects soon, and the next call works', async () => {
    for (const [name, call] of Object.entries(calls)) {
      for (const delay of [0, 1, 5, 20]) {
        const controller = new AbortController();
        const settled = call(controller.signal).then(
          (value) => value,
          (error: unknown) => error,
        );
        setTimeout(() => controller.abort(), delay);
        const outcome = await settled;
        if (outcome instanceof Error) {
          expect((outcome as LexisegError).code, name).toBe('ERR_ABORTED');
        } else if (outcome instanceof Segmenter) await outcome.dispose();
      }
    }
    using result = await segmenter.segment(picture, vocabulary);
    expect(result.width).toBe(120);
  });

  it('after the call: changes nothing', async () => {
    const controller = new AbortController();
    using result = await segmenter.segment(picture, vocabulary, { signal: controller.signal });
    controller.abort();
    expect(result.segmentMap).toHaveLength(120 * 80);
  });

  it('refuses what is no signal', async () => {
    const signal = { aborted: false } as AbortSignal;
    await expect(segmenter.segment(picture, vocabulary, { signal })).rejects.toThrow(/AbortSignal/);
  });
});

describe('dispose', () => {
  it('waits for calls in flight and refuses later ones', async () => {
    const own = await Segmenter.load(TINY_BUNDLE, { cache: false });
    const words = await own.createVocabulary(['cat']);
    using proposals = await own.proposeMasks(picture);
    // Each has work left for the network when the weights are asked to go.
    const running: Record<string, Promise<unknown>> = {
      segment: own.segment([picture, picture, picture], words),
      segmentClasses: own.segment(picture, ['dog', 'tree'], { task: 'semantic' }),
      proposeMasks: own.proposeMasks([picture, picture]),
      classifyMasks: own.classifyMasks(proposals, words),
      createVocabulary: own.createVocabulary(Array.from({ length: 200 }, (_, i) => `word ${i}`)),
      encodeText: own.encodeText(Array.from({ length: 300 }, (_, i) => `prompt ${i}`)),
      profile: own.profile(picture, words),
    };
    const disposing = own.dispose();
    expect(own.disposed).toBe(true);
    expect(own.dispose()).toBe(disposing);
    const later = [
      own.segment(picture, words),
      own.encodeText('a'),
      own.createVocabulary(['a']),
      own.proposeMasks(picture),
      own.profile(picture, words),
    ];
    for (const call of later) await expect(call).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    await disposing;
    for (const [name, call] of Object.entries(running)) {
      await expect(call, name).resolves.toBeDefined();
    }
    expect(segmenter.memoryStats().handles).toBeGreaterThan(0);
  });

  it('waits for calls that fail, and goes through all the same', async () => {
    const own = await Segmenter.load(TINY_BUNDLE, { cache: false });
    const failing = own.segment([picture, Buffer.from('x')], vocabulary);
    const outcome = expect(failing).rejects.toMatchObject({ code: 'ERR_IMAGE_READ' });
    await own.dispose();
    await outcome;
  });

  it('refuses disposed vocabularies, proposals and tensors', async () => {
    const disposed = { code: 'ERR_DISPOSED' };
    const words = await segmenter.createVocabulary(['cat']);
    const proposals = await segmenter.proposeMasks(picture);
    words.dispose();
    await expect(segmenter.segment(picture, words)).rejects.toMatchObject(disposed);
    proposals.dispose();
    proposals.dispose();
    await expect(segmenter.segment(proposals, vocabulary)).rejects.toMatchObject(disposed);
    await expect(segmenter.classifyMasks(proposals, vocabulary)).rejects.toMatchObject(disposed);
    const tensor = Tensor.alloc([2], 'float32');
    const data = tensor.data;
    tensor.dispose();
    expect(data).toHaveLength(0);
    expect(() => tensor.data).toThrow(expect.objectContaining(disposed));
    await expect(tensor.to({ dtype: 'int32' })).rejects.toMatchObject(disposed);
  });

  it('takes vocabularies and proposals along with the tensors that they hand out', async () => {
    const words = await segmenter.createVocabulary(['cat']);
    words.classEmbeddings.dispose();
    expect(words.disposed).toBe(true);
    words.dispose();
    const proposals = await segmenter.proposeMasks(picture);
    const { maskLogits } = proposals;
    proposals.dispose();
    expect(maskLogits.disposed).toBe(true);
    const others = await segmenter.proposeMasks(picture);
    others.maskLogits.dispose();
    expect(others.disposed).toBe(true);
    await expect(segmenter.segment(others, vocabulary)).rejects.toMatchObject({
      code: 'ERR_DISPOSED',
    });
    others.dispose();
  });

  it('leaves no handles behind', async () => {
    const handles = (): number => segmenter.memoryStats().handles;
    // Handles that earlier tests dropped without dispose may go at any time.
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = handles();
    for (let round = 0; round < 3; round++) {
      for (const task of ['semantic', 'panoptic', 'instance'] as const) {
        const list = await segmenter.segment([picture, picture], SCENE_CLASSES, { task });
        for (const result of list) result.dispose();
      }
      await segmenter.segment([picture, Buffer.from('x')], vocabulary).catch(() => {});
    }
    expect(handles()).toBeLessThanOrEqual(before);
  });
});

describe('hostile input', () => {
  it('refuses files that are no bundles with ERR_BUNDLE_*', async () => {
    const garbage = join(dir, 'garbage.pt');
    writeFileSync(garbage, Buffer.alloc(5000, 'PK\u0003\u0004'));
    const empty = join(dir, 'empty.pt');
    writeFileSync(empty, '');
    for (const path of [garbage, empty, dir, join(dir, 'absent.pt'), '/dev/zero', 'nul\0byte']) {
      await expect(Segmenter.load(path), path).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_BUNDLE_/),
      });
    }
    for (const path of ['', 5, null, undefined, {}]) {
      await expect(Segmenter.load(path as string)).rejects.toThrow(/Expected a path for bundle/);
    }
  });

  it('verifies the weights when asked to', async () => {
    await using verified = await Segmenter.load(TINY_BUNDLE, { verify: true, cache: false });
    expect(verified.info.methods).toContain('propose_masks');
  });

  it('keeps other images of a list from being lost silently: one bad image fails the call', async () => {
    const call = segmenter.segment([picture, Buffer.from('not an image')], vocabulary);
    await expect(call).rejects.toMatchObject({ code: 'ERR_IMAGE_READ' });
  });

  it('segments thin and tiny images', async () => {
    for (const [width, height] of [
      [1, 1],
      [1, 5000],
      [2000, 3],
      [20_000, 10],
    ] as const) {
      const raw = { data: new Uint8Array(width * height * 3), width, height };
      for (const task of ['semantic', 'panoptic', 'instance'] as const) {
        using result = await segmenter.segment(raw, vocabulary, { task });
        expect(result).toMatchObject({ width, height });
      }
    }
  });

  it('refuses things of the wrong kind before anything runs', async () => {
    await expect(segmenter.segment(picture, 5 as never)).rejects.toThrow(/array of classes/);
    await expect(segmenter.segment(5 as never, vocabulary)).rejects.toThrow(/Expected a path/);
    await expect(segmenter.classifyMasks({} as never, vocabulary)).rejects.toThrow(/Proposals/);
    await expect(segmenter.encodeText([])).rejects.toThrow(/at least one prompt/);
    await expect(segmenter.encodeText([5] as never)).rejects.toThrow(/a string for a prompt/);
    await expect(segmenter.segment(picture, vocabulary, { tsak: 'x' } as never)).rejects.toThrow(
      /did you mean "task"/,
    );
  });

  it('checks typed arrays against shape and dtype', () => {
    const coded = expect.objectContaining({ code: 'ERR_TENSOR' });
    expect(() => Tensor.from(new Float32Array(3), [2, 2])).toThrow(coded);
    const buffer = new ArrayBuffer(16);
    const detached = new Float32Array(buffer);
    structuredClone(buffer, { transfer: [buffer] });
    expect(() => Tensor.from(detached, [4])).toThrow(/transferred/);
    expect(() => Tensor.from(new Float32Array(4), [4], { dtype: 'int32' })).toThrow(/Int32Array/);
    expect(() => Tensor.from(new Uint16Array(4), [4])).toThrow(/dtype/);
    const shared = new Float32Array(new SharedArrayBuffer(16));
    expect(() => Tensor.from(shared, [4], { copy: 'never' })).toThrow(coded);
    expect(() => Tensor.alloc([-1], 'float32')).toThrow(RangeError);
    expect(() => Tensor.alloc([2], 'complex64' as 'float32')).toThrow(/dtype/);
    using copied = Tensor.from(shared, [4]);
    expect(copied.shape).toEqual([4]);
  });

  it('keeps the numbers of a tensor when somebody would transfer them', () => {
    const tensor = Tensor.from(Float32Array.of(1, 2, 3), [3]);
    const { data } = tensor;
    try {
      // Some releases of Node refuse, others copy; none may take the memory away.
      structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
    } catch (error) {
      expect((error as Error).name).toBe('DataCloneError');
    }
    expect([...tensor.data]).toEqual([1, 2, 3]);
    tensor.dispose();
    expect(data.length).toBe(0);
  });

  it('tells the stack of whoever called', async () => {
    const error = await callFromHere().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(LexisegError);
    expect((error as Error).stack).toMatch(/callFromHere/);
  });
});

async function callFromHere(): Promise<void> {
  const garbage = join(dir, 'stack.pt');
  writeFileSync(garbage, 'garbage');
  await Segmenter.load(garbage);
}
