/** Windows, resampling and schedules: bounds that must hold for any seed. */
import { describe, expect, it } from 'vitest';
import {
  jitterColors,
  mirror,
  parseColorJitter,
  randomResizedCrop,
  randomWindow,
  type Window,
} from '../../lib/data/augment.js';
import { Random } from '../../lib/data/random.js';
import { resampleIds, resampleRgb } from '../../lib/data/resample.js';
import { learningRateSchedule } from '../../lib/training/schedule.js';

const inside = (window: Window, image: { width: number; height: number }): void => {
  expect(window.left).toBeGreaterThanOrEqual(0);
  expect(window.top).toBeGreaterThanOrEqual(0);
  expect(window.width).toBeGreaterThan(0);
  expect(window.left + window.width).toBeLessThanOrEqual(image.width);
  expect(window.top + window.height).toBeLessThanOrEqual(image.height);
};

describe('windows', () => {
  const sizes = [
    { width: 1, height: 1 },
    { width: 640, height: 5 },
    { width: 37, height: 211 },
    { width: 500, height: 375 },
  ];

  it('lie inside the image', () => {
    const out = { width: 96, height: 64 };
    for (const image of sizes) {
      for (let seed = 0; seed < 200; seed++) {
        const random = new Random(seed);
        const range = { area: [0.05, 1] as const, aspect: [0.5, 2] as const };
        inside(randomResizedCrop(random, image, out, range), image);
        for (const by of [
          { scale: [0.1, 2] as const },
          { shortestEdges: [16, 64, 200], longestEdge: 300 },
        ]) {
          const window = randomWindow(random, image, out, by);
          inside(window, image);
          expect(window.outWidth).toBeLessThanOrEqual(out.width);
          expect(window.outHeight).toBeLessThanOrEqual(out.height);
        }
      }
    }
  });

  it('of large-scale jitter keep the aspect', () => {
    const image = { width: 400, height: 300 };
    for (let seed = 0; seed < 100; seed++) {
      const out = { width: 128, height: 96 };
      const window = randomWindow(new Random(seed), image, out, { scale: [0.5, 2] });
      const ratio = window.width / window.outWidth / (window.height / window.outHeight);
      expect(Math.abs(ratio - 1)).toBeLessThan(0.06);
    }
  });
});

describe('windows by the shorter edge', () => {
  const out = { width: 512, height: 512 };

  it('draw every length, and scale by it', () => {
    const edges = [64, 128, 256];
    const heights = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const image = { width: 400, height: 200 };
      const by = { shortestEdges: edges, longestEdge: 1000 };
      const window = randomWindow(new Random(seed), image, out, by);
      heights.add(window.outHeight);
      expect(window.outWidth).toBe(Math.min(512, 2 * window.outHeight));
      expect(window.height).toBe(200);
    }
    expect([...heights].toSorted((a, b) => a - b)).toEqual(edges);
  });

  it('give way to the cap of the longer edge', () => {
    const by = { shortestEdges: [300], longestEdge: 400 };
    const window = randomWindow(new Random(1), { width: 1000, height: 250 }, out, by);
    expect([window.outWidth, window.outHeight]).toEqual([400, 100]);
  });
});

describe('resampling', () => {
  const whole = (width: number, height: number, outWidth: number, outHeight: number): Window => ({
    left: 0,
    top: 0,
    width,
    height,
    outWidth,
    outHeight,
  });

  it('keeps an even colour, and copies at the same size', async () => {
    const even = new Uint8Array(7 * 5 * 3).fill(93);
    expect(new Set(await resampleRgb(even, 7, whole(7, 5, 13, 3)))).toEqual(new Set([93]));
    const noise = Uint8Array.from({ length: 7 * 5 * 3 }, (_, i) => (i * 89) % 256);
    expect(await resampleRgb(noise, 7, whole(7, 5, 7, 5))).toEqual(noise);
  });

  it('averages when it makes smaller', async () => {
    const checks = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => {
      const at = Math.floor(i / 3);
      return ((at % 8) + Math.floor(at / 8)) % 2 === 0 ? 0 : 200;
    });
    const small = await resampleRgb(checks, 8, whole(8, 8, 2, 2));
    for (const value of small) expect(Math.abs(value - 100)).toBeLessThan(4);
  });

  it('keeps ids and their places', () => {
    const ids = Uint32Array.from({ length: 16 }, (_, at) => (at % 4 < 2 ? 5 : 70_000));
    const large = resampleIds(ids, 4, whole(4, 4, 8, 8), new Uint32Array(64));
    expect([...large.subarray(0, 8)]).toEqual([5, 5, 5, 5, 70_000, 70_000, 70_000, 70_000]);
  });
});

describe('colours', () => {
  it('stay as they are without jitter, and grey stays grey under a turn of the hue', () => {
    const pixels = Uint8Array.from({ length: 30 }, (_, i) => i * 8);
    const copy = pixels.slice();
    jitterColors(copy, new Random(1), parseColorJitter(undefined, 'jitter'));
    expect(copy).toEqual(pixels);
    const grey = new Uint8Array(9).fill(120);
    jitterColors(grey, new Random(3), parseColorJitter({ hue: 0.5, saturation: 1 }, 'jitter'));
    for (const value of grey) expect(Math.abs(value - 120)).toBeLessThanOrEqual(1);
  });

  it('refuse what is out of range', () => {
    expect(() => parseColorJitter({ hue: 0.7 }, 'jitter')).toThrow(/jitter\.hue/);
    expect(() => parseColorJitter({ hu: 0.1 } as object, 'jitter')).toThrow(/did you mean "hue"/);
  });

  it('are mirrored line by line', () => {
    const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6);
    mirror(pixels, 3, 1);
    expect([...pixels]).toEqual([3, 2, 1, 6, 5, 4]);
    mirror(pixels, 3, 1, 2);
    expect([...pixels]).toEqual([2, 3, 1, 5, 6, 4]);
  });
});

describe('learning-rate schedules', () => {
  it('rise, then fall as their name says', () => {
    const cosine = learningRateSchedule({ warmUpSteps: 4, final: 0.1 }, 104);
    expect([0, 1, 2, 3].map(cosine)).toEqual([0.2, 0.4, 0.6, 0.8].map((x) => expect.closeTo(x)));
    expect(cosine(4)).toBeCloseTo(1);
    expect(cosine(54)).toBeCloseTo(0.55);
    expect(cosine(104)).toBeCloseTo(0.1);
    const poly = learningRateSchedule({ kind: 'poly', power: 1 }, 100);
    expect(poly(25)).toBeCloseTo(0.75);
    const steps = learningRateSchedule({ kind: 'step', milestones: [3, 6], factor: 0.5 }, 10);
    expect([0, 3, 5, 6, 9].map(steps)).toEqual([1, 0.5, 0.5, 0.25, 0.25]);
    expect(learningRateSchedule({ kind: 'constant' }, 10)(9)).toBe(1);
  });

  it('refuse milestones that do not rise', () => {
    expect(() => learningRateSchedule({ kind: 'step', milestones: [5, 2] }, 9)).toThrow(
      /milestones/,
    );
  });
});
