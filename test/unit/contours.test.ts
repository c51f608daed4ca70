/** Rings along pixel edges: exact area, holes, corners that touch. */
import { describe, expect, it } from 'vitest';
import { type Polygon, type Ring, ringArea, traceContours } from '../../lib/results/contours.js';

const trace = (...rows: string[]): Promise<Polygon[]> =>
  traceContours(
    Uint8Array.from(rows.join(''), (character) => Number(character === '#')),
    rows[0]?.length ?? 0,
    rows.length,
  );

const areaOf = (polygons: Polygon[]): number =>
  polygons
    .flatMap(({ exterior, holes }) => [exterior, ...holes])
    .reduce((sum, ring) => sum + ringArea(ring) / 2, 0);

const isSimple = (ring: Ring): boolean => {
  const corners = ring.slice(0, -1).map(String);
  return new Set(corners).size === corners.length && String(ring[0]) === String(ring.at(-1));
};

describe('traceContours', () => {
  it('walks a single pixel from +x to +y', async () => {
    expect(await trace('#')).toEqual([
      {
        exterior: [
          [0, 0],
          [1, 0],
          [1, 1],
          [0, 1],
          [0, 0],
        ],
        holes: [],
      },
    ]);
  });

  it('keeps only corners', async () => {
    const [polygon] = await trace('####', '####', '##..');
    expect(polygon?.exterior).toHaveLength(7);
    expect(areaOf(await trace('####', '####', '##..'))).toBe(10);
  });

  it('gives holes the opposite turn and the right owner', async () => {
    const polygons = await trace('#####', '#...#', '#.#.#', '#...#', '#####');
    expect(polygons.map(({ holes }) => holes.length).sort()).toEqual([0, 1]);
    expect(ringArea(polygons[0]?.holes[0] as Ring)).toBeLessThan(0);
    expect(areaOf(polygons)).toBe(17);
  });

  it('parts pixels that touch by a corner', async () => {
    const polygons = await trace('#.', '.#');
    expect(polygons).toHaveLength(2);
    expect(polygons.every(({ exterior }) => isSimple(exterior))).toBe(true);
  });

  it('splits rings that would touch themselves', async () => {
    const ringClosedByCorner = await trace('####', '#..#', '#.#.', '####');
    const holesByCorner = await trace('####', '#.##', '##.#', '####');
    for (const polygons of [ringClosedByCorner, holesByCorner]) {
      const rings = polygons.flatMap(({ exterior, holes }) => [exterior, ...holes]);
      expect(rings.every(isSimple)).toBe(true);
    }
    expect(holesByCorner[0]?.holes).toHaveLength(2);
  });

  it('covers random masks exactly: even-odd filling of the rings gives the mask back', async () => {
    let state = 7;
    const random = (): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state / 2 ** 32;
    };
    for (let round = 0; round < 60; round++) {
      const width = 1 + Math.floor(random() * 12);
      const height = 1 + Math.floor(random() * 12);
      const mask = Array.from({ length: width * height }, () => random() < 0.55);
      const polygons = await traceContours(Uint8Array.from(mask, Number), width, height);
      const rings = polygons.flatMap(({ exterior, holes }) => [exterior, ...holes]);
      expect(rings.every(isSimple)).toBe(true);
      expect(polygons.every(({ exterior }) => ringArea(exterior) > 0)).toBe(true);
      expect(polygons.every(({ holes }) => holes.every((hole) => ringArea(hole) < 0))).toBe(true);
      expect(areaOf(polygons)).toBe(mask.filter(Boolean).length);
      const filled = mask.map((_, pixel) =>
        polygons.some(({ exterior, holes }) => {
          const [x, y] = [(pixel % width) + 0.5, Math.floor(pixel / width) + 0.5];
          return contains(exterior, x, y) && !holes.some((hole) => contains(hole, x, y));
        }),
      );
      expect(filled).toEqual(mask);
    }
  });
});

function contains(ring: Ring, x: number, y: number): boolean {
  let inside = false;
  for (let i = 1; i < ring.length; i++) {
    const [x0, y0] = ring[i - 1] as [number, number];
    const [x1, y1] = ring[i] as [number, number];
    if (y0 > y !== y1 > y && x < x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)) inside = !inside;
  }
  return inside;
}
