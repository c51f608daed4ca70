/** Which pixels COCO counts as inside a polygon. */

/** Edges are followed on a grid this much finer than the pixels. */
const FINENESS = 5;

/**
 * Run lengths (column-major, zeros first) of a polygon, as COCO's own tools rasterise it: its edge
 * is walked on a grid five times finer, and each pixel column takes its crossings from there.
 *
 * @param corners x0, y0, x1, y1, … in pixels; closed by itself
 */
export function polygonRuns(
  corners: readonly number[],
  width: number,
  height: number,
): Uint32Array {
  const { us, vs } = walkEdges(corners);
  const crossings: number[] = [];
  for (let j = 1; j < us.length; j++) {
    const u = us[j] as number;
    const before = us[j - 1] as number;
    if (u === before) continue;
    const x = ((u < before ? u : u - 1) + 0.5) / FINENESS - 0.5;
    if (Math.floor(x) !== x || x < 0 || x > width - 1) continue;
    const v = Math.min(vs[j] as number, vs[j - 1] as number);
    const y = Math.ceil(Math.min(Math.max((v + 0.5) / FINENESS - 0.5, 0), height));
    crossings.push(x * height + y);
  }
  return runsBetween(crossings, width * height);
}

/** Every point of the edge on the fine grid, in the polygon's order. */
function walkEdges(corners: readonly number[]): { us: number[]; vs: number[] } {
  const count = Math.floor(corners.length / 2);
  const fine = (index: number): number =>
    Math.trunc(FINENESS * (corners[index % (2 * count)] as number) + 0.5);
  const us: number[] = [];
  const vs: number[] = [];
  for (let corner = 0; corner < count; corner++) {
    const [xa, ya] = [fine(2 * corner), fine(2 * corner + 1)];
    const [xb, yb] = [fine(2 * corner + 2), fine(2 * corner + 3)];
    const dx = Math.abs(xb - xa);
    const dy = Math.abs(yb - ya);
    const wide = dx >= dy;
    const length = wide ? dx : dy;
    // Rounding must not depend on the direction of travel: slopes are taken from the lesser end.
    const flipped = wide ? xa > xb : ya > yb;
    const [x0, y0, x1, y1] = flipped ? [xb, yb, xa, ya] : [xa, ya, xb, yb];
    const slope = length === 0 ? 0 : (wide ? y1 - y0 : x1 - x0) / length;
    for (let step = 0; step <= length; step++) {
      const t = flipped ? length - step : step;
      us.push(wide ? x0 + t : Math.trunc(x0 + slope * t + 0.5));
      vs.push(wide ? Math.trunc(y0 + slope * t + 0.5) : y0 + t);
    }
  }
  return { us, vs };
}

/** Runs that alternate at the crossings; an even number at one place changes nothing. */
function runsBetween(crossings: readonly number[], pixels: number): Uint32Array {
  const sorted = [...crossings].sort((a, b) => a - b);
  const runs: number[] = [];
  let start = 0;
  for (let i = 0; i < sorted.length; ) {
    const place = sorted[i] as number;
    let toggles = false;
    for (; sorted[i] === place; i++) toggles = !toggles;
    if (!toggles || place >= pixels) continue;
    runs.push(place - start);
    start = place;
  }
  runs.push(pixels - start);
  return Uint32Array.from(runs);
}
