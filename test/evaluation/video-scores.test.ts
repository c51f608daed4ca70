/** Scores of videos against loops over pixels. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { AssociationQuality } from '../../lib/evaluation/video/association-quality.js';
import { VideoConsistency } from '../../lib/evaluation/video/consistency.js';
import { VideoPanopticQuality } from '../../lib/evaluation/video/panoptic-tubes.js';
import { countFrame, type PredictedSegment } from '../../lib/evaluation/video/tubes.js';
import type { Truth } from '../../lib/index.js';
import { countByLoop } from './quality-by-loop.js';
import { randomFound, randomTruth } from './random-truth.js';

const CLASSES = 4;
const isThing = (classIndex: number): boolean => classIndex < 2;

interface Frame {
  map: Int32Array;
  found: PredictedSegment[];
  truth: Truth;
}

/** Random frames of one size; ids go on from frame to frame, classes sometimes change. */
function randomVideo(random: Random, length: number): Frame[] {
  const first = randomTruth(random, 12, 9, CLASSES);
  return Array.from({ length }, () => {
    const drift = random.below(3);
    const ids = first.ids.map((_, at) => first.ids[(at + drift) % first.ids.length] as number);
    const truth = { ...first, ids, segments: first.segments };
    const { map, classes } = randomFound(random, truth, CLASSES);
    const found = classes.map((classIndex, i) => ({
      id: 10 * (i + 1),
      classIndex,
      thing: isThing(classIndex),
    }));
    return { map: map.map((id) => 10 * id), found, truth };
  });
}

const videos = Array.from({ length: 12 }, (_, i) => randomVideo(new Random(5, i), 3 + (i % 6)));

/** Frames of a window one below the other, a predicted id for each pair of id and class. */
function stacked(window: readonly Frame[]): { map: Int32Array; classes: number[]; truth: Truth } {
  const tubes: string[] = [];
  const map = window.flatMap(({ map: own, found }) =>
    [...own].map((id) => {
      const segment = found.find((one) => one.id === id);
      if (segment === undefined) return 0;
      const key = `${id}/${segment.classIndex}`;
      if (!tubes.includes(key)) tubes.push(key);
      return tubes.indexOf(key) + 1;
    }),
  );
  const [first] = window as [Frame];
  const ids = Uint32Array.from(window.flatMap(({ truth }) => [...truth.ids]));
  const { width, height, segments } = first.truth;
  return {
    map: Int32Array.from(map),
    classes: tubes.map((key) => Number(key.split('/')[1])),
    truth: { width, height: height * window.length, ids, segments },
  };
}

describe('video panoptic quality', () => {
  it.each([1, 2, 4])('over windows of %i frames equals a loop over stacked frames', (length) => {
    const score = new VideoPanopticQuality(length, CLASSES);
    const sums = Array.from({ length: CLASSES }, () => [0, 0, 0, 0]);
    for (const video of videos) {
      for (const { map, found, truth } of video) score.add(countFrame(map, found, truth));
      score.endVideo();
      for (let start = 0; start + length <= video.length; start++) {
        const { map, classes, truth } = stacked(video.slice(start, start + length));
        for (const [classIndex, sum] of sums.entries()) {
          const counts = Object.values(countByLoop(map, classes, truth, classIndex));
          counts.forEach((count, i) => {
            sum[i] = (sum[i] as number) + count;
          });
        }
      }
    }
    for (const [classIndex, sum] of sums.entries()) {
      const counts = Object.values(score.quality.counts(classIndex));
      expect(counts[1]).toBeGreaterThan(0);
      counts.forEach((count, i) => {
        expect(count).toBeCloseTo(sum[i] as number, 8);
      });
    }
  });
});

/** Mean over true tubes of things of (1 / |g|) Σ_p TPA · IoU, crowds left out and void not. */
function associationByLoop(): { sum: number; tubes: number } {
  let [sum, tubes] = [0, 0];
  for (const video of videos) {
    const pixels = video.flatMap(({ map, found, truth }) =>
      [...map].map((id, at) => ({
        id: found.find((one) => one.id === id && one.thing)?.id ?? 0,
        truth: truth.segments.find((segment) => segment.id === truth.ids[at]),
      })),
    );
    const count = (holds: (one: (typeof pixels)[number]) => boolean): number =>
      pixels.filter(holds).length;
    const ids = new Set(pixels.map(({ id }) => id).filter((id) => id > 0));
    for (const segment of video[0]?.truth.segments ?? []) {
      if (segment.crowd || !isThing(segment.classIndex)) continue;
      const area = count(({ truth }) => truth === segment || truth?.id === segment.id);
      tubes++;
      for (const id of ids) {
        const both = count((one) => one.id === id && one.truth?.id === segment.id);
        const own = count((one) => one.id === id && !one.truth?.crowd);
        if (both > 0) sum += (both * (both / (own + area - both))) / area;
      }
    }
  }
  return { sum, tubes };
}

describe('association quality', () => {
  it('equals a loop over pixels', () => {
    const score = new AssociationQuality(isThing);
    for (const video of videos) {
      for (const { map, found, truth } of video) score.add(countFrame(map, found, truth));
      score.endVideo();
    }
    const { sum, tubes } = associationByLoop();
    expect(score.tubes).toBe(tubes);
    expect(tubes).toBeGreaterThan(5);
    expect(score.quality).toBeCloseTo(sum / tubes, 10);
  });

  const truthOf = (ids: number[]): Truth => ({
    width: ids.length,
    height: 1,
    ids: Uint32Array.from(ids),
    segments: [...new Set(ids)]
      .filter((id) => id > 0)
      .map((id) => ({ id, classIndex: 0, crowd: false })),
  });
  const frame = (map: number[], ids: number[]) =>
    countFrame(
      Int32Array.from(map),
      [...new Set(map)].filter((id) => id > 0).map((id) => ({ id, classIndex: 0, thing: true })),
      truthOf(ids),
    );

  it('counts a change of id once, also across frames where the thing is not found', () => {
    const score = new AssociationQuality(() => true);
    score.add(frame([7, 7, 0, 0], [1, 1, 0, 0]));
    score.add(frame([0, 0, 0, 0], [1, 1, 0, 0]));
    score.add(frame([8, 8, 0, 0], [1, 1, 0, 0]));
    score.add(frame([8, 8, 0, 0], [1, 1, 0, 0]));
    score.endVideo();
    score.add(frame([9, 9, 0, 0], [1, 1, 0, 0]));
    score.endVideo();
    expect(score.switches).toBe(1);
  });

  it('is 1 where every thing keeps one id, whatever class it is given', () => {
    const score = new AssociationQuality(() => true);
    score.add(frame([7, 7, 5, 5], [1, 1, 2, 2]));
    score.add(frame([5, 7, 7, 0], [2, 1, 1, 0]));
    score.endVideo();
    expect(score.quality).toBe(1);
  });
});

describe('video consistency', () => {
  it.each([1, 2, 3])('over %i frames equals a loop over windows', (length) => {
    const score = new VideoConsistency(length);
    const perVideo: number[] = [];
    for (const video of videos) {
      const labels = video.map(({ map, found }) =>
        map.map((id) => found.find((one) => one.id === id)?.classIndex ?? -1),
      );
      const classes = video.map(({ truth }) =>
        [...truth.ids].map((id) => truth.segments.find((one) => one.id === id)?.classIndex ?? -1),
      );
      video.forEach(({ truth }, t) => {
        score.add(labels[t] as Int32Array, truth);
      });
      score.endVideo();
      const shares: number[] = [];
      for (let start = 0; start + length <= video.length; start++) {
        const span = Array.from({ length }, (_, i) => start + i);
        const pixels = [...(classes[0] ?? []).keys()].filter((at) => {
          const actual = classes[start]?.[at] as number;
          return actual >= 0 && span.every((t) => classes[t]?.[at] === actual);
        });
        const right = pixels.filter((at) =>
          span.every((t) => labels[t]?.[at] === classes[t]?.[at]),
        );
        if (pixels.length > 0) shares.push(right.length / pixels.length);
      }
      if (shares.length > 0) perVideo.push(shares.reduce((a, b) => a + b) / shares.length);
    }
    expect(perVideo.length).toBeGreaterThan(3);
    expect(score.score).toBeCloseTo(perVideo.reduce((a, b) => a + b) / perVideo.length, 10);
  });

  it('asks for the right class, not for any class that lasts', () => {
    const score = new VideoConsistency(2);
    const truth: Truth = {
      width: 2,
      height: 1,
      ids: Uint32Array.of(1, 1),
      segments: [{ id: 1, classIndex: 3, crowd: false }],
    };
    for (let t = 0; t < 3; t++) score.add(Int32Array.of(3, 2), truth);
    score.endVideo();
    expect(score.score).toBe(0.5);
  });
});
