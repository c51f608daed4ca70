/** Where names go inside segments: at the point farthest from every border, if there is room. */
import { breathe } from '../job.js';
import type { Segmentation } from './segmentation.js';
import { cutText, escapeXml, FONT, textWidth } from './svg-text.js';

interface Placement {
  readonly id: number;
  readonly x: number;
  readonly y: number;
  /** Pixels to the nearest border, the room there is. */
  readonly room: number;
}

interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Longer side of the grid on which room is measured. */
const GRID_SIDE = 200;
const MOST_NAMES = 60;
const PADDING = 0.38;

/** An SVG as large as the canvas with a name in every segment that has room for it. */
export async function namesSvg(
  segmentation: Segmentation,
  canvas: { readonly width: number; readonly height: number },
  { owners, ids }: { readonly owners: Int32Array; readonly ids: boolean },
  signal: AbortSignal | undefined,
): Promise<string> {
  const { width, height } = canvas;
  const side = Math.sqrt(width * Math.min(height, 2 * width));
  const smallest = Math.max(11, Math.round(side / 80));
  const largest = Math.max(smallest, Math.round(side / 32));
  const names = new Map(
    segmentation.segments.map(({ id, className, thing }) => [
      id,
      ids && thing ? `${className} ${id}` : className,
    ]),
  );
  const placed: Rectangle[] = [];
  const parts: string[] = [];
  const placements = await findRoom(owners, width, height, signal);
  for (const { id, x, y, room } of placements) {
    const name = names.get(id);
    if (name === undefined || parts.length >= MOST_NAMES) continue;
    // Names may reach a little over their segment sideways, never above or below it.
    const fitting = Math.min((2.5 * room) / (textWidth(name, 1) + 2 * PADDING), 0.6 * room);
    const size = Math.min(largest, Math.max(smallest, Math.round(fitting)));
    const text = cutText(name, size, Math.min(0.5 * width, 4 * room));
    const boxWidth = textWidth(text, size) + 2 * PADDING * size;
    const boxHeight = size * (1 + PADDING);
    if (text === '' || boxHeight > 2 * room || boxWidth > 4 * room + size) continue;
    const rectangle = {
      left: clamp(x - boxWidth / 2, 2, width - boxWidth - 2),
      top: clamp(y - boxHeight / 2, 2, height - boxHeight - 2),
      width: boxWidth,
      height: boxHeight,
    };
    if (boxWidth > width - 4 || placed.some((other) => overlap(other, rectangle))) continue;
    placed.push(rectangle);
    parts.push(pill(rectangle, text, size));
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join('')}</svg>`;
}

function pill({ left, top, width, height }: Rectangle, text: string, size: number): string {
  const radius = size * 0.35;
  const baseline = top + height / 2 + size * 0.35;
  return (
    `<rect x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${width.toFixed(1)}" ` +
    `height="${height.toFixed(1)}" rx="${radius.toFixed(1)}" fill="#0b0d12" fill-opacity="0.74"/>` +
    `<text x="${(left + width / 2).toFixed(1)}" y="${baseline.toFixed(1)}" ${FONT} ` +
    `font-size="${size}" text-anchor="middle" fill="#ffffff">${escapeXml(text)}</text>`
  );
}

/** For each segment the grid point with most room, roomiest segment first. */
async function findRoom(
  owners: Int32Array,
  width: number,
  height: number,
  signal: AbortSignal | undefined,
): Promise<Placement[]> {
  const step = Math.max(1, Math.max(width, height) / GRID_SIDE);
  const columns = Math.max(1, Math.floor(width / step));
  const rows = Math.max(1, Math.floor(height / step));
  const ids = new Int32Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    const y = Math.min(height - 1, Math.floor((row + 0.5) * step));
    for (let column = 0; column < columns; column++) {
      const x = Math.min(width - 1, Math.floor((column + 0.5) * step));
      ids[row * columns + column] = owners[y * width + x] as number;
    }
  }
  await breathe(signal);
  const distance = distanceToBorder(ids, columns, rows);
  await breathe(signal);
  const best = new Map<number, number>();
  for (let cell = 0; cell < ids.length; cell++) {
    const id = ids[cell] as number;
    if (id === 0) continue;
    const leader = best.get(id);
    if (leader === undefined || (distance[cell] as number) > (distance[leader] as number)) {
      best.set(id, cell);
    }
  }
  const placements = [...best].map(([id, cell]) => ({
    id,
    x: ((cell % columns) + 0.5) * step,
    y: (Math.floor(cell / columns) + 0.5) * step,
    room: ((distance[cell] as number) - 0.5) * step,
  }));
  return placements.sort((a, b) => b.room - a.room);
}

/** Cells to the nearest cell of another segment or beyond the grid: two chamfer passes. */
function distanceToBorder(ids: Int32Array, columns: number, rows: number): Float32Array {
  const distance = new Float32Array(ids.length).fill(Number.POSITIVE_INFINITY);
  const relax = (cell: number, x: number, y: number, step: number): void => {
    const outside = x < 0 || y < 0 || x >= columns || y >= rows;
    const other = y * columns + x;
    const apart = outside || ids[other] !== ids[cell];
    const through = apart ? step : (distance[other] as number) + step;
    if (through < (distance[cell] as number)) distance[cell] = through;
  };
  for (let cell = 0; cell < ids.length; cell++) {
    const x = cell % columns;
    const y = (cell - x) / columns;
    relax(cell, x - 1, y, 1);
    relax(cell, x, y - 1, 1);
    relax(cell, x - 1, y - 1, Math.SQRT2);
    relax(cell, x + 1, y - 1, Math.SQRT2);
  }
  for (let cell = ids.length - 1; cell >= 0; cell--) {
    const x = cell % columns;
    const y = (cell - x) / columns;
    relax(cell, x + 1, y, 1);
    relax(cell, x, y + 1, 1);
    relax(cell, x + 1, y + 1, Math.SQRT2);
    relax(cell, x - 1, y + 1, Math.SQRT2);
  }
  return distance;
}

function overlap(a: Rectangle, b: Rectangle): boolean {
  return (
    a.left < b.left + b.width &&
    b.left < a.left + a.width &&
    a.top < b.top + b.height &&
    b.top < a.top + a.height
  );
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(value, Math.max(least, most)));
}
