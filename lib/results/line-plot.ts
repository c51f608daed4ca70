/** Curves over steps as an SVG picture. */
import { escapeXml } from './svg-text.js';

export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 640;
const HEIGHT = 260;
const MARGIN = { left: 58, right: 12, top: 30, bottom: 26 };
const COLOURS = ['#4a7fd6', '#d6724a', '#4aa86b', '#a35bc4', '#b59a2a', '#5bb0c4', '#c45b7f'];
/** A screen shows no more. */
const MOST_POINTS = 400;

/** A figure with a heading, both axes, and a legend; points that are not finite are left out. */
export function linePlot(title: string, curves: readonly Curve[]): string {
  const shown = curves.map((curve) => ({
    ...curve,
    points: thinned(curve.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))),
  }));
  const all = shown.flatMap(({ points }) => points);
  const xs = range(all.map(([x]) => x));
  const ys = range(all.map(([, y]) => y));
  const px = (x: number): number =>
    MARGIN.left + ((x - xs.low) / (xs.high - xs.low)) * (WIDTH - MARGIN.left - MARGIN.right);
  const py = (y: number): number =>
    HEIGHT -
    MARGIN.bottom -
    ((y - ys.low) / (ys.high - ys.low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const lines = shown.map(({ points }, i) => {
    const path = points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(' ');
    return `<polyline fill="none" stroke="${colourOf(i)}" stroke-width="1.6" points="${path}"/>`;
  });
  const grid = ticks(ys).map(
    (y) =>
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${py(y)}" y2="${py(y)}" stroke="#8884"/>` +
      `<text x="${MARGIN.left - 6}" y="${py(y) + 4}" text-anchor="end">${shortNumber(y)}</text>`,
  );
  const steps = ticks(xs).map(
    (x) => `<text x="${px(x)}" y="${HEIGHT - 8}" text-anchor="middle">${shortNumber(x)}</text>`,
  );
  return (
    `<figure class="plot"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" font-size="11" font-family="sans-serif" ` +
    `fill="currentColor" role="img" aria-label="${escapeXml(title)}">` +
    `<text x="${MARGIN.left}" y="14" font-size="13" font-weight="600">${escapeXml(title)}</text>` +
    `${grid.join('')}${steps.join('')}${lines.join('')}${legend(shown)}</svg></figure>`
  );
}

const colourOf = (index: number): string => COLOURS[index % COLOURS.length] as string;

function legend(curves: readonly Curve[]): string {
  if (curves.length < 2) return '';
  let x = MARGIN.left + 200;
  return curves
    .map(({ name }, i) => {
      const label = `<text x="${x}" y="14" fill="${colourOf(i)}">${escapeXml(name)}</text>`;
      x += 14 + 6.5 * name.length;
      return label;
    })
    .join('');
}

/** Means of neighbours, so that a long run keeps its shape. */
function thinned(points: Curve['points']): Curve['points'] {
  const size = Math.ceil(points.length / MOST_POINTS);
  if (size <= 1) return points;
  const mean = (part: Curve['points'], axis: 0 | 1): number =>
    part.reduce((sum, point) => sum + point[axis], 0) / part.length;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    return [mean(part, 0), mean(part, 1)] as const;
  });
}

function range(values: readonly number[]): { low: number; high: number } {
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (values.length === 0) return { low: 0, high: 1 };
  return low === high ? { low: low - 0.5, high: high + 0.5 } : { low, high };
}

/** Four to nine round numbers inside. */
function ticks({ low, high }: { low: number; high: number }): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, i) => (first + i) * step);
}

const shortNumber = (value: number): string =>
  Math.abs(value) >= 10_000 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(0)
    : String(Number(value.toPrecision(4)));
