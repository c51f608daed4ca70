/** Who keeps which id, on query embeddings made up for the purpose. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { LIMITS } from '../../lib/options.js';
import { QueryIdentities } from '../../lib/video/query-identities.js';
import { RegionIdentities } from '../../lib/video/region-identities.js';
import type { FrameThings, Tracking } from '../../lib/video/tracking.js';

const WIDTH = 16;
const TRACKING = { association: 'queries', memory: 3, leastSimilarity: 0.3 } as const;

function counter(): () => number {
  let last = 0;
  return () => ++last;
}

/** What the decoder makes of a thing. */
function lookOf(thing: number): Float32Array {
  const random = new Random(3, thing);
  return Float32Array.from({ length: WIDTH }, () => random.between(-1, 1));
}

/** Of five things, and of a query that finds nothing. */
const LOOKS = Array.from({ length: 6 }, (_, thing) => lookOf(thing));

/**
 * Query i shows `shown[i]`, a little changed; of `visible` ones things are made, each a row of pixels
 * at a place of its own.
 */
function frame(shown: readonly number[], t: number, visible = shown): FrameThings {
  const random = new Random(4, t);
  const queries = Float32Array.from(
    shown.flatMap((thing) =>
      [...(LOOKS[thing] as Float32Array)].map((value) => 7 * (value + random.between(-0.1, 0.1))),
    ),
  );
  const map = new Int32Array(10 * LOOKS.length);
  const things = visible.map((thing, row) => {
    map.fill(row + 1, 10 * thing, 10 * thing + 10);
    return { query: shown.indexOf(thing), region: row + 1, area: 10 };
  });
  const size = { width: 10, height: LOOKS.length };
  return { queries, queryCount: shown.length, things, ...size, map };
}

const KINDS = { queries: QueryIdentities, regions: RegionIdentities };
type Kind = keyof typeof KINDS;

const open = (kind: Kind, changes: Partial<Tracking> = {}) =>
  new KINDS[kind]({ ...TRACKING, association: kind, ...changes }, counter());

describe.each(['queries', 'regions'] as const)('identities by %s', (kind) => {
  it('follow things from query to query', () => {
    const identities = open(kind);
    const first = identities.next(frame([0, 1, 2], 0));
    expect(new Set(first).size).toBe(3);
    const [a, b, c] = first;
    expect(identities.next(frame([2, 0, 1], 1))).toEqual([c, a, b]);
    expect(identities.next(frame([1, 2, 0], 2, [0, 1]))).toEqual([a, b]);
  });

  it('come back after a short absence and not after a long one', () => {
    const identities = open(kind);
    const [a, b] = identities.next(frame([0, 1, 5], 0, [0, 1]));
    for (let t = 1; t <= 2; t++) identities.next(frame([1, 5, 4], t, [1]));
    expect(identities.next(frame([0, 4, 1], 3, [0, 1]))).toEqual([a, b]);
    for (let t = 4; t <= 8; t++) identities.next(frame([1, 5, 4], t, [1]));
    const [again] = identities.next(frame([0, 4, 1], 9, [0]));
    expect([a, b]).not.toContain(again);
  });

  it.each([0, 1, 2])('outlast an absence of %i frames and no longer', (memory) => {
    const identities = open(kind, { memory });
    const [a, b] = identities.next(frame([0, 1], 0));
    let t = 1;
    for (; t <= memory; t++) identities.next(frame([1, 5], t, [1]));
    expect(identities.next(frame([0, 1], t++))).toEqual([a, b]);
    for (const end = t + memory; t <= end; t++) identities.next(frame([1, 5], t, [1]));
    const [again, still] = identities.next(frame([0, 1], t));
    expect(still).toBe(b);
    expect([a, b]).not.toContain(again);
  });

  it('are new for a thing in the place of another', () => {
    const identities = open(kind);
    const [a, b] = identities.next(frame([0, 1], 0));
    const [c, d] = identities.next(frame([0, 3], 1));
    expect(c).toBe(a);
    expect([a, b]).not.toContain(d);
  });

  it('outlast a newcomer where they were hidden', () => {
    const identities = open(kind);
    const [a, b] = identities.next(frame([0, 1, 4, 5], 0, [0, 1]));
    identities.next(frame([2, 1, 4, 5], 1, [1]));
    const [c] = identities.next(frame([2, 1, 4, 5], 2, [2, 1]));
    expect([a, b]).not.toContain(c);
    expect(identities.next(frame([2, 1, 4, 0], 3, [2, 1, 0]))).toEqual([c, b, a]);
  });

  it('are all new after a cut', () => {
    const identities = open(kind);
    const before = identities.next(frame([0, 1], 0));
    identities.cut();
    const after = identities.next(frame([0, 1], 1));
    expect(new Set([...before, ...after]).size).toBe(4);
  });

  it('hold where queries are fewer or more than before', () => {
    const identities = open(kind);
    const [a, b] = identities.next(frame([0, 1, 5], 0, [0, 1]));
    expect(identities.next(frame([1, 0], 1))).toEqual([b, a]);
    expect(identities.next(frame([5, 4, 3, 0, 1], 2, [0, 1]))).toEqual([a, b]);
  });
});

/** Things from number `first` on, each a pixel where nothing was in the frame before. */
function crowd(first: number, count: number, t: number): FrameThings {
  const looks = Array.from({ length: count }, (_, row) => lookOf(first + row));
  const queries = Float32Array.from(looks.flatMap((look) => [...look]));
  const map = new Int32Array(2 * count);
  const things = Array.from({ length: count }, (_, row) => {
    map[(t % 2) * count + row] = row + 1;
    return { query: row, region: row + 1, area: 1 };
  });
  return { queries, queryCount: count, things, width: count, height: 2, map };
}

describe('identities of many things', () => {
  const COUNT = 50;

  it('are kept for the latest that fit, and a video goes on past them', () => {
    const identities = open('regions', { memory: 1e6, leastSimilarity: 0.999 });
    const given = new Set<number>();
    let t = 0;
    for (; t * COUNT <= LIMITS.followed + COUNT; t++) {
      for (const id of identities.next(crowd(t * COUNT, COUNT, t))) given.add(id);
    }
    expect(given.size).toBe(t * COUNT);
    const back = (first: number): boolean[] =>
      identities.next(crowd(first, COUNT, t++)).map((id) => given.has(id));
    expect(new Set(back((t - 2) * COUNT))).toEqual(new Set([true]));
    expect(new Set(back(0))).toEqual(new Set([false]));
  });

  it.each(['queries', 'regions'] as const)('by %s are refused beyond what is matched', (kind) => {
    const identities = open(kind);
    const many = crowd(0, LIMITS.followed + 1, 0);
    const run = (): void => {
      for (const _ of [0, 1]) identities.next(many);
    };
    expect(run).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED' }));
    expect(run).toThrow(/1025 queries or things.*at most 1024.*"none"/);
    const none = open('queries', { association: 'none' });
    expect(none.next(many)).toEqual(none.next(many));
  });
});

describe('identities', () => {
  it('are those of the query without association', () => {
    const identities = open('queries', { association: 'none' });
    const [a, b] = identities.next(frame([0, 1], 0));
    expect(identities.next(frame([1, 0], 1))).toEqual([a, b]);
  });

  it('by regions are not given to another thing for the sake of a hidden one', () => {
    const identities = new RegionIdentities(
      { association: 'regions', memory: 30, leastSimilarity: 0.7 },
      counter(),
    );
    /** Things with looks of their own, each somewhere else in every frame. */
    const seen = (t: number, looks: readonly (readonly number[])[]): FrameThings => {
      const map = new Int32Array(10 * looks.length);
      const things = looks.map((_, row) => {
        map[10 * row + t] = row + 1;
        return { query: row, region: row + 1, area: 1 };
      });
      const queries = Float32Array.from(looks.flat());
      return { queries, queryCount: looks.length, things, width: 10, height: looks.length, map };
    };
    const [a, b] = identities.next(
      seen(0, [
        [1, 0, 0],
        [0, 1, 0],
      ]),
    );
    identities.next(seen(1, [[1, 0, 0]]));
    // The first is itself at 0.85 and the hidden one at 0.5; the newcomer is the first at 0.8.
    const [again, newcomer] = identities.next(
      seen(2, [
        [0.85, 0.5, 0.17],
        [0.8, -0.5, 0.33],
      ]),
    );
    expect(again).toBe(a);
    expect([a, b]).not.toContain(newcomer);
  });

  it('stay with a place where queries take turns', () => {
    const identities = open('regions', { leastSimilarity: 0.99 });
    const [a, b] = identities.next(frame([0, 1], 0));
    // Thing 3 lies where thing 1 lay.
    const taken = frame([0, 3], 1);
    taken.map.copyWithin(10, 30, 40);
    taken.map.fill(0, 30, 40);
    expect(identities.next(taken)).toEqual([a, b]);
    // Of another size there is nothing to compare places with.
    const { width, height, ...rest } = frame([0, 2], 2);
    const [, other] = identities.next({ ...rest, width: height, height: width });
    expect([a, b]).not.toContain(other);
  });
});
