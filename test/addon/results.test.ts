/** From proposals to results through the addon: shapes, states and arguments that do not fit. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Geometry, type NativeTensor, native } from '../../lib/native.js';
import type { NativeModel } from '../../lib/native-model.js';
import { expectCode, loadTiny, someClasses, someImage } from './bundle.js';

let model: NativeModel;
let maskLogits: NativeTensor;
let classLogProbs: NativeTensor;
let geometry: Geometry;
const thing = Uint8Array.of(1, 0, 1);
const job = () => native().createJob();

beforeAll(async () => {
  model = await loadTiny();
  const proposals = await model.proposeMasks(job(), someImage(60, 90));
  const { embeddings, counts, seen } = await someClasses(model, 3);
  classLogProbs = await model.classifyMasks(job(), proposals, embeddings, counts, seen);
  maskLogits = proposals[0] as NativeTensor;
  const sizes = proposals.slice(4, 6).flatMap((size) => [...(size.data() as BigInt64Array)]);
  geometry = [...sizes.map(Number), 60, 90] as unknown as Geometry;
});

afterAll(async () => {
  await model.dispose();
});

describe('labelMap', () => {
  it.each([true, false])('labels every pixel with a class (resizeScores %s)', async (resize) => {
    const map = await native().labelMap(job(), maskLogits, 0, classLogProbs, geometry, resize);
    expect(map.labels.shape).toEqual([60, 90]);
    expect(map.labels.dtype).toBe('int32');
    expect(map.scores.dtype).toBe('float32');
    const labels = map.labels.data() as Int32Array;
    expect(labels.every((label) => label >= 0 && label < 3)).toBe(true);
    expect((map.scores.data() as Float32Array).every((score) => score >= 0)).toBe(true);
  });

  it('gives each class the one mask that suits it best, if asked to', async () => {
    const [side, threshold] = [4, 0.35];
    // Queries: the left half, the lower half, one pixel that suits no class best, nothing at all.
    const inside = [
      (x: number, _y: number) => x < 2,
      (_x: number, y: number) => y > 1,
      (x: number, y: number) => x === 3 && y === 0,
      () => false,
    ];
    // Just above the threshold inside, and below it elsewhere.
    const logit = Math.log(threshold / (1 - threshold));
    const logits = inside.flatMap((of) =>
      Array.from({ length: side * side }, (_, i) =>
        of(i % side, Math.floor(i / side)) ? logit + 0.1 : logit - 0.1,
      ),
    );
    const probs = [0.7, 0.2, 0.1, 0.3, 0.6, 0.1, 0.4, 0.5, 0.1, 0.1, 0.1, 0.8].map(Math.log);
    const masks = native().copyTensor(Float32Array.from(logits), [1, 4, side, side], 'float32');
    const classes = native().copyTensor(Float32Array.from(probs), [1, 4, 3], 'float32');
    const whole = [side, side, side, side, side, side] as unknown as Geometry;
    for (const resize of [true, false]) {
      const map = await native().labelMap(job(), masks, 0, classes, whole, resize, threshold);
      const scores = map.scores.data() as Float32Array;
      for (const [i, label] of (map.labels.data() as Int32Array).entries()) {
        const [x, y] = [i % side, Math.floor(i / side)];
        // Class 0 has query 0 and class 1 query 1; where both are, their scores add up.
        const first = (x < 2 ? 0.7 : 0) + (y > 1 ? 0.3 : 0);
        const second = (x < 2 ? 0.2 : 0) + (y > 1 ? 0.6 : 0);
        expect(label).toBe(first + second === 0 ? -1 : first >= second ? 0 : 1);
        expect(scores[i]).toBeCloseTo(Math.max(first, second), 5);
      }
    }
    for (const wrong of [0, 1, Number.NaN]) {
      await expectCode(
        () => native().labelMap(job(), masks, 0, classes, whole, false, wrong),
        'ERR_ARGUMENT',
      );
    }
  });

  it('refuses what does not fit', async () => {
    const call = (
      over: Partial<{ logits: unknown; index: unknown; probs: unknown; geometry: unknown }>,
    ) =>
      native().labelMap(
        job(),
        (over.logits ?? maskLogits) as NativeTensor,
        (over.index ?? 0) as number,
        (over.probs ?? classLogProbs) as NativeTensor,
        (over.geometry ?? geometry) as Geometry,
        false,
      );
    await expectCode(() => call({ logits: classLogProbs }), 'ERR_TENSOR');
    await expectCode(() => call({ probs: maskLogits }), 'ERR_TENSOR');
    await expectCode(() => call({ index: 1 }), 'ERR_TENSOR');
    await expect(call({ index: -1 })).rejects.toThrow(RangeError);
    await expect(call({ geometry: [1, 2, 3] })).rejects.toThrow(TypeError);
    await expect(call({ geometry: [1, 2, 3, 4, 5, 0.5] })).rejects.toThrow(RangeError);
    const changed = (at: number, value: number) => geometry.map((v, i) => (i === at ? value : v));
    await expectCode(() => call({ geometry: changed(4, 0) }), 'ERR_IMAGE_SIZE');
    await expectCode(() => call({ geometry: changed(5, 40_000) }), 'ERR_IMAGE_SIZE');
    await expectCode(() => call({ geometry: changed(2, geometry[0] + 1) }), 'ERR_IMAGE_SIZE');
    await expectCode(
      () => call({ geometry: [...geometry.slice(0, 4), 32_000, 32_000] }),
      'ERR_IMAGE_SIZE',
    );
    const disposed = native().allocTensor([1, 2, 3, 3], 'float32', false);
    disposed.dispose();
    await expectCode(() => call({ logits: disposed }), 'ERR_DISPOSED');
  });

  it('can be cancelled', async () => {
    const waiting = native().createJob();
    const promise = native().labelMap(waiting, maskLogits, 0, classLogProbs, geometry, false);
    waiting.cancel();
    await expectCode(() => promise, 'ERR_ABORTED');
  });
});

describe('panopticMerge', () => {
  it('gives arrays of one length and ids that they explain', async () => {
    const result = await native().panopticMerge(
      job(),
      maskLogits,
      0,
      classLogProbs,
      geometry,
      thing,
      [0, 0.1],
    );
    const count = result.classes.length;
    expect(result.scores.length).toBe(count);
    expect(result.areas.length).toBe(count);
    expect(result.boxes.length).toBe(4 * count);
    const ids = result.segmentIds.data() as Int32Array;
    for (let segment = 0; segment < count; segment += 1) {
      expect(ids.filter((id) => id === segment + 1).length).toBe(result.areas[segment]);
    }
  });

  it('refuses flags and thresholds that do not fit', async () => {
    const merge = (flags: unknown, thresholds: unknown) =>
      native().panopticMerge(
        job(),
        maskLogits,
        0,
        classLogProbs,
        geometry,
        flags as Uint8Array,
        thresholds as [number, number],
      );
    await expectCode(() => merge(new Uint8Array(2), [0, 0.8]), 'ERR_TENSOR');
    await expect(merge(new Float32Array(3), [0, 0.8])).rejects.toThrow(TypeError);
    await expect(merge(thing, [0])).rejects.toThrow(TypeError);
    await expect(merge(thing, [0, Number.NaN])).rejects.toThrow(TypeError);
  });
});

describe('selectInstances', () => {
  it('gives run lengths that decode to the stated areas', async () => {
    const result = await native().selectInstances(
      job(),
      maskLogits,
      0,
      classLogProbs,
      geometry,
      thing,
      20,
    );
    const count = result.classes.length;
    expect(result.offsets.length).toBe(count + 1);
    for (let i = 0; i < count; i += 1) {
      const counts = result.counts.slice(result.offsets[i], result.offsets[i + 1]);
      const mask = native().rleDecode(counts, 90, 60);
      expect(mask.reduce((sum, value) => sum + value, 0)).toBe(result.areas[i]);
      expect(thing[result.classes[i] as number]).toBe(1);
    }
    await expect(
      native().selectInstances(job(), maskLogits, 0, classLogProbs, geometry, thing, 0),
    ).rejects.toThrow(RangeError);
  });
});

describe('run lengths', () => {
  const mask = Uint8Array.of(0, 1, 1, 0, 0, 255);

  it('go column by column, zeros first, and come back', () => {
    const counts = native().rleEncode(mask, 3, 2);
    expect([...counts]).toEqual([2, 1, 1, 2]);
    expect([...native().rleDecode(counts, 3, 2)]).toEqual([0, 1, 1, 0, 0, 1]);
    expect([...native().rleFromString(native().rleToString(counts))]).toEqual([...counts]);
  });

  it('are refused when they do not add up', async () => {
    await expectCode(() => native().rleEncode(mask, 4, 2), 'ERR_TENSOR');
    await expectCode(() => native().rleDecode(Uint32Array.of(1, 2), 3, 2), 'ERR_ARGUMENT');
    await expectCode(() => native().rleDecode(Uint32Array.of(0xffffffff, 7), 3, 2), 'ERR_ARGUMENT');
    for (const text of ['\u0001', 'zzzzzzzzzzzzzzzz', 'é', '~']) {
      await expectCode(() => native().rleFromString(text), 'ERR_ARGUMENT');
    }
    expect(() => native().rleEncode([] as never, 0, 0)).toThrow(TypeError);
    expect(() => native().rleDecode(Uint32Array.of(6), -3, 2)).toThrow(RangeError);
  });
});
