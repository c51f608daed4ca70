/** Who keeps which id, on query embeddings made up for the purpose. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../lib/data/random.js';
import { Identities } from '../../lib/video/identities.js';

const WIDTH = 16;
const TRACKING = { association: 'queries', memory: 3, leastSimilarity: 0.3 } as const;

/** What the decoder makes of each of five things, and of a query that finds nothing. */
const LOOKS = Array.from({ length: 6 }, (_, thing) => {
  const random = new Random(3, thing);
  return Float32Array.from({ length: WIDTH }, () => random.between(-1, 1));
});

/** Query i shows `shown[i]`, a little changed; of `visible` ones things are made. */
function frame(shown: readonly number[], t: number, visible = shown) {
  const random = new Random(4, t);
  const queries = Float32Array.from(
    shown.flatMap((thing) =>
      [...(LOOKS[thing] as Float32Array)].map((value) => 7 * (value + random.between(-0.1, 0.1))),
    ),
  );
  const things = visible.map((thing) => ({ query: shown.indexOf(thing), classIndex: 0 }));
  return [queries, shown.length, things] as const;
}

describe('identities', () => {
  it('follow things from query to query', () => {
    const identities = new Identities(TRACKING);
    const first = identities.next(...frame([0, 1, 2], 0));
    expect(new Set(first).size).toBe(3);
    const [a, b, c] = first;
    expect(identities.next(...frame([2, 0, 1], 1))).toEqual([c, a, b]);
    expect(identities.next(...frame([1, 2, 0], 2, [0, 1]))).toEqual([a, b]);
  });

  it('come back after a short absence and not after a long one', () => {
    const identities = new Identities(TRACKING);
    const [a, b] = identities.next(...frame([0, 1, 5], 0, [0, 1]));
    for (let t = 1; t <= 2; t++) identities.next(...frame([1, 5, 4], t, [1]));
    expect(identities.next(...frame([0, 4, 1], 3, [0, 1]))).toEqual([a, b]);
    for (let t = 4; t <= 8; t++) identities.next(...frame([1, 5, 4], t, [1]));
    const [again] = identities.next(...frame([0, 4, 1], 9, [0]));
    expect([a, b]).not.toContain(again);
  });

  it('are new for a thing in the place of another', () => {
    const identities = new Identities(TRACKING);
    const [a, b] = identities.next(...frame([0, 1], 0));
    const [c, d] = identities.next(...frame([0, 3], 1));
    expect(c).toBe(a);
    expect([a, b]).not.toContain(d);
  });

  it('are all new after a cut', () => {
    const identities = new Identities(TRACKING);
    const before = identities.next(...frame([0, 1], 0));
    identities.cut();
    const after = identities.next(...frame([0, 1], 1));
    expect(new Set([...before, ...after]).size).toBe(4);
  });

  it('are those of the query without association', () => {
    const identities = new Identities({ ...TRACKING, association: 'none' });
    const [a, b] = identities.next(...frame([0, 1], 0));
    expect(identities.next(...frame([1, 0], 1))).toEqual([a, b]);
  });

  it('hold where queries are fewer or more than before', () => {
    const identities = new Identities(TRACKING);
    const [a, b] = identities.next(...frame([0, 1, 5], 0, [0, 1]));
    expect(identities.next(...frame([1, 0], 1))).toEqual([b, a]);
    expect(identities.next(...frame([5, 4, 3, 0, 1], 2, [0, 1]))).toEqual([a, b]);
  });
});
