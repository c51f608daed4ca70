/** The trainer through the public API: steps, faults, a whole run, and what comes out. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  LexisegError,
  openDataset,
  panopticData,
  Segmenter,
  Tensor,
  Trainer,
  type TrainingEvent,
  trainingReportHtml,
} from '../../lib/index.js';
import { root } from '../cli/command.js';
import { drawScenes } from '../cli/drawn-scenes.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE, TINY_DENSE_BUNDLE } from './bundle-file.js';

let folder: string;
let scenes: string;
beforeAll(async () => {
  folder = temporaryFolder();
  scenes = join(folder, 'scenes');
  await drawScenes(scenes, 6, 5);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = { width: 64, height: 64 };

/** Two halves of an image, one mask each. */
function halves(seed = 1): Record<string, Tensor> {
  const { width, height } = SIZE;
  const images = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * seed * 7) % 256);
  const masks = Uint8Array.from({ length: 2 * width * height }, (_, i) =>
    Number(i % width < width / 2 === i < width * height),
  );
  return {
    images: Tensor.from(images, [1, height, width, 3]),
    masks: Tensor.from(masks, [2, height, width]),
    labels: Tensor.from(BigInt64Array.of(0n, 1n), [2]),
    mask_counts: Tensor.from(BigInt64Array.of(2n), [1]),
  };
}

const batch = (inputs: Record<string, Tensor>, name = 'halves') => ({ inputs, name, samples: 1 });
const open = (more = {}) =>
  Trainer.open(TINY_BUNDLE, { vocabulary: ['left', 'right'], threads: 1, ...more });

async function codeOf(work: Promise<unknown>): Promise<LexisegError> {
  const reason = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(reason).toBeInstanceOf(LexisegError);
  return reason as LexisegError;
}

describe('Trainer.open', () => {
  it('refuses to train the text tower on masks, where it would learn nothing', async () => {
    const error = await codeOf(open({ groups: { text_encoder: { frozen: false } } }));
    expect(error.code).toBe('ERR_UNSUPPORTED');
    expect(error.message).toMatch(/groups\.text_encoder cannot train on masks/);
    await using slower = await open({ groups: { text_encoder: { learningRateMultiplier: 2 } } });
    expect(slower.info.trainedParameters).toBeGreaterThan(0);
    await using captions = await Trainer.open(TINY_DENSE_BUNDLE, {
      groups: { text_encoder: { frozen: false } },
    });
    expect(captions.info.trainedParameters).toBeGreaterThan(0);
  });
});

describe('Trainer.step', () => {
  it('gives the same losses for the same seed, and others for another', async () => {
    const losses = [];
    for (const seed of [3, 3, 4]) {
      await using trainer = await open({ seed });
      const run = [];
      for (let i = 1; i <= 3; i++) {
        run.push((await trainer.step(batch(halves(i)), { learningRate: 1e-3 })).total);
      }
      losses.push(run);
    }
    expect(losses[0]).toEqual(losses[1]);
    expect(losses[2]).not.toEqual(losses[0]);
  });

  it('makes the loss of one batch small', async () => {
    await using trainer = await open({ gradientClip: 1 });
    const totals = [];
    for (let i = 0; i < 25; i++) {
      totals.push((await trainer.step(batch(halves()), { learningRate: 1e-3 })).total);
    }
    expect(totals.at(-1)).toBeLessThan(0.7 * (totals[0] as number));
  });

  it('averages the gradients of several batches', async () => {
    await using together = await open();
    await using once = await open();
    const two = [batch(halves()), batch(halves())];
    const a = await together.step(two, { learningRate: 1e-3 });
    const b = await once.step(batch(halves()), { learningRate: 1e-3 });
    // Points are sampled anew for every image, so the gradients are alike and not equal.
    expect(a.gradNorm / b.gradNorm).toBeGreaterThan(0.5);
    expect(a.gradNorm / b.gradNorm).toBeLessThan(1.5);
  });

  it('runs steps that are begun together one after another', async () => {
    const step = (trainer: Trainer, seed: number) =>
      trainer.step([batch(halves(seed)), batch(halves(seed + 1))], { learningRate: 1e-3 });
    await using waiting = await open();
    const apart = [await step(waiting, 1), await step(waiting, 3)];
    await using hurried = await open();
    const together = await Promise.all([step(hurried, 1), step(hurried, 3)]);
    expect(together).toEqual(apart);
    const controller = new AbortController();
    const { signal } = controller;
    const ended: string[] = [];
    const note = (name: string) => () => ended.push(name);
    const third = step(hurried, 5);
    const fourth = codeOf(hurried.step(batch(halves()), { learningRate: 1e-3, signal }));
    const fifth = step(hurried, 6);
    const all = [third.then(note('third')), fourth.then(note('fourth')), fifth.then(note('fifth'))];
    controller.abort();
    expect((await fourth).code).toBe('ERR_ABORTED');
    await Promise.all(all);
    // Given up at once, and no way for the next to run beside the one before.
    expect(ended).toEqual(['fourth', 'third', 'fifth']);
    expect([(await third).step, (await fifth).step]).toEqual([3, 4]);
    const ends = Promise.allSettled([step(hurried, 7), step(hurried, 9)]);
    await hurried.dispose();
    const [running, queued] = await ends;
    expect(running).toMatchObject({ status: 'fulfilled', value: { step: 5 } });
    expect(queued).toMatchObject({ reason: { code: 'ERR_DISPOSED' } });
  });

  it('lets a checkpoint wait for a step, and the next step for the checkpoint', async () => {
    const path = join(folder, 'turns.ckpt');
    await using trainer = await open();
    const options = { learningRate: 1e-3 };
    await trainer.save(path);
    const first = await trainer.step(batch(halves()), options);
    const other = trainer.step([batch(halves(2)), batch(halves(3))], options);
    const restored = trainer.restore(path);
    const again = trainer.step(batch(halves()), options);
    expect((await other).step).toBe(2);
    await restored;
    expect(await again).toEqual(first);
  });

  it('stops at a loss that is no number, names the batch, and keeps the weights', async () => {
    await using trainer = await open({ optimizer: { kind: 'sgd' } });
    let steps = 0;
    const diverge = async () => {
      for (; steps < 50; steps++) {
        await trainer.step(batch(halves(), 'scene 12.jpg'), { learningRate: 1e6 });
      }
    };
    const error = await codeOf(diverge());
    expect(error.code).toBe('ERR_NOT_FINITE');
    expect(error.message).toContain(`scene 12.jpg, step ${steps + 1}`);
    expect(error.details).toMatchObject({ batch: 'scene 12.jpg', step: steps + 1 });
    expect(trainer.stepCount).toBe(steps);
  });

  it('refuses batches that do not fit, and names what is wrong', async () => {
    await using trainer = await open();
    const { labels, ...rest } = halves();
    labels?.dispose();
    const missing = await codeOf(trainer.step(batch(rest), { learningRate: 1e-3 }));
    expect(missing.message).toMatch(/labels/);
    const wrong = { ...halves(), labels: Tensor.from(BigInt64Array.of(0n, 9n), [2]) };
    const beyond = await codeOf(trainer.step(batch(wrong), { learningRate: 1e-3 }));
    expect(beyond.code).toBe('ERR_TENSOR');
    expect(beyond.message).toMatch(/labels of halves: 9 is no index of the 2 classes/);
  });

  it('refuses what is no tensor or no batch, and frees the tensors beside it', async () => {
    await using trainer = await open();
    const inputs = halves();
    const wrong = { ...inputs, masks: new Uint8Array(8) } as unknown as typeof inputs;
    inputs.masks?.dispose();
    await expect(trainer.step(batch(wrong), { learningRate: 1e-3 })).rejects.toThrow(
      'Expected a Tensor for the input masks of halves but received Uint8Array(8 bytes)',
    );
    expect(Object.values(inputs).map(({ disposed }) => disposed)).toEqual([true, true, true, true]);
    const more = { ...halves(), extra: [1] } as unknown as typeof inputs;
    await expect(trainer.step(batch(more), { learningRate: 1e-3 })).rejects.toThrow(/for extra/);
    for (const none of [undefined, [], [null], { name: 'a batch' }, { inputs: {} }]) {
      const step = trainer.step(none as never, { learningRate: 1e-3 });
      await expect(step).rejects.toThrow(/^Expected .* for batch/);
    }
    expect(trainer.stepCount).toBe(0);
  });

  it('embeds prompts as a loaded bundle does, and refuses what is none', async () => {
    await using trainer = await open();
    await using segmenter = await Segmenter.load(TINY_BUNDLE, { dtype: 'float32', cache: false });
    const own = await trainer.encodeText('dog');
    const other = await segmenter.encodeText('dog');
    expect(own.shape).toEqual(other.shape);
    const pairs = Array.from(own.data as Float32Array, (value, i) => [value, other.data[i]]);
    for (const [value, twin] of pairs) expect(value).toBeCloseTo(Number(twin), 5);
    for (const prompts of [[], [5], 5]) {
      await expect(trainer.encodeText(prompts as never)).rejects.toThrow(/^Expected .* prompt/);
    }
    const options = { sginal: undefined } as object;
    await expect(trainer.encodeText('dog', options)).rejects.toThrow(/did you mean "signal"/);
    await expect(trainer.save(join(folder, 'x.ckpt'), options)).rejects.toThrow(/"sginal"/);
    await expect(trainer.restore(join(folder, 'x.ckpt'), options)).rejects.toThrow(/"sginal"/);
  });

  it('refuses a bundle without a loss, and use after dispose', async () => {
    const trainer = await open();
    const plain = join(folder, 'plain.pt');
    await trainer.exportBundle(plain);
    await trainer.dispose();
    expect((await codeOf(Trainer.open(plain))).code).toBe('ERR_UNSUPPORTED');
    const late = await codeOf(trainer.step(batch(halves()), { learningRate: 1 }));
    expect(late.code).toBe('ERR_DISPOSED');
  });
});

describe('Trainer.run', () => {
  const data = async (batchSize = 2) => {
    const dataset = await openDataset('coco-panoptic', scenes);
    const classes = dataset.classes.map(({ name }) => name);
    return { classes, data: panopticData(dataset, { batchSize, imageSize: SIZE, classes }) };
  };

  it('takes as many other names as the classes of the data, in its order', async () => {
    const dataset = await openDataset('coco-panoptic', scenes);
    const own = dataset.classes.map(({ name }) => name);
    const batchOf = async (classes: readonly string[]) => {
      const data = panopticData(dataset, { batchSize: 2, imageSize: SIZE, classes });
      const request = { seed: 3, start: 0, rank: 0, worldSize: 1, signal: undefined };
      for await (const { inputs } of data.batches(request)) {
        const labels = [...(inputs.labels?.data ?? [])];
        for (const tensor of Object.values(inputs)) tensor.dispose();
        return labels;
      }
    };
    const renamed = own.map((name) => `a ${name}`);
    expect(await batchOf(renamed)).toEqual(await batchOf(own));
    // Some of its own names in another order: a misspelt one is no reason to relabel them all.
    const misspelt = [...own].reverse().map((name, i) => (i === 3 ? `${name}x` : name));
    await expect(batchOf(misspelt)).rejects.toThrow(/has no class/);
    expect(() => panopticData(dataset, { batchSize: 2, imageSize: SIZE, classes: ['a'] })).toThrow(
      new RegExp(`has no class a; other names .* must be ${own.length}`),
    );
  });

  it('tells what happens, keeps checkpoints, and goes on', async () => {
    const source = await data();
    const place = join(folder, 'run');
    const run = async (steps: number) => {
      await using trainer = await Trainer.open(TINY_BUNDLE, {
        vocabulary: source.classes,
        threads: 1,
      });
      const events: TrainingEvent[] = [];
      const options = { steps: 5, learningRate: 1e-4, folder: place, checkpointEvery: 2 };
      for await (const event of trainer.run(source.data, options)) {
        events.push(event);
        if (event.type === 'step' && event.step === steps) break;
      }
      return events;
    };
    const first = await run(3);
    expect(first.map(({ type }) => type)).toEqual(['start', 'step', 'step', 'checkpoint', 'step']);
    const second = await run(99);
    expect(second[0]).toMatchObject({ type: 'start', step: 3 });
    expect(second.at(-1)).toMatchObject({ type: 'end', step: 5, reason: 'steps' });
    expect(readdirSync(place).filter((name) => name.endsWith('.ckpt'))).toEqual([
      'step-000000004.ckpt',
      'step-000000005.ckpt',
    ]);
    const log = readFileSync(join(place, 'events.jsonl'), 'utf8').trim().split('\n');
    const events = log.map((line) => JSON.parse(line) as TrainingEvent);
    const steps = events.filter(({ type }) => type === 'step').map(({ step }) => step);
    expect(steps).toEqual([1, 2, 3, 4, 5]);
    const page = trainingReportHtml('a <run>', events);
    expect(page).toContain('a &lt;run&gt;');
    expect(page).toContain('class_auxiliary');
  });

  it('refuses other settings of the data in the same folder, by name', async () => {
    const dataset = await openDataset('coco-panoptic', scenes);
    const classes = dataset.classes.map(({ name }) => name);
    await using trainer = await Trainer.open(TINY_BUNDLE, { vocabulary: classes, threads: 1 });
    const begin = async (more: object) => {
      const data = panopticData(dataset, { batchSize: 1, imageSize: SIZE, classes, ...more });
      const options = { steps: 1, learningRate: 1e-4, folder: join(folder, 'settings') };
      for await (const { type } of trainer.run(data, options)) if (type === 'start') break;
    };
    const words = { has: () => true, draw: () => [] };
    await begin({});
    await begin({});
    const changes = { scale: [1, 1], flip: 0, colorJitter: { hue: 0.1 }, words };
    for (const [name, value] of Object.entries(changes)) {
      const error = await codeOf(begin({ [name]: value }));
      expect(error.message).toContain(`another run: data.${name} differ.`);
    }
  });

  it('ends early when the watched figure does not rise', async () => {
    const source = await data();
    await using trainer = await Trainer.open(TINY_BUNDLE, {
      vocabulary: source.classes,
      threads: 1,
    });
    const events: TrainingEvent[] = [];
    let score = 10;
    for await (const event of trainer.run(source.data, {
      steps: 50,
      learningRate: 1e-5,
      folder: join(folder, 'early'),
      evaluate: async () => ({ score: score-- }),
      evaluateEvery: 1,
      patience: 2,
    })) {
      events.push(event);
    }
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'early-stop', step: 3 });
    expect(existsSync(join(folder, 'early', 'best.ckpt'))).toBe(true);
  });

  it('stops between two steps when it is aborted', async () => {
    const source = await data();
    await using trainer = await Trainer.open(TINY_BUNDLE, {
      vocabulary: source.classes,
      threads: 1,
    });
    const controller = new AbortController();
    let last: TrainingEvent | undefined;
    const options = { steps: 50, learningRate: 1e-5, signal: controller.signal };
    for await (const event of trainer.run(source.data, options)) {
      if (event.type === 'step' && event.step === 2) controller.abort();
      last = event;
    }
    expect(last).toMatchObject({ type: 'end', reason: 'cancelled', step: 2 });
  });

  it('gives a bundle that segments, and one that can be trained on', async () => {
    await using trainer = await open({ ema: 0.5 });
    await trainer.step(batch(halves()), { learningRate: 1e-3 });
    const path = join(folder, 'trained.pt');
    await trainer.exportBundle(path, { dtype: 'bfloat16', trainable: true, source: 'a test' });
    await using segmenter = await Segmenter.load(path, { verify: true });
    expect(segmenter.manifest.weights).toMatchObject({ kind: 'trained', source: 'a test' });
    expect(segmenter.manifest.trainingClasses.map(({ name }) => name)).toEqual(['left', 'right']);
    const picture = join(root, 'test/fixtures/images/street.jpg');
    const result = await segmenter.segment(picture, ['left', 'sky'], { task: 'semantic' });
    expect(result.width).toBeGreaterThan(0);
    result.dispose();
    await using again = await Trainer.open(path, { vocabulary: ['a'] });
    expect(again.info.trainedParameters).toBe(trainer.info.trainedParameters);
  });
});
