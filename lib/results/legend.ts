/** The legend under an overlay: bundle, task, and a row per class with swatch, name and score. */
import { colourOfClass, toHex } from './colours.js';
import type { Segmentation } from './segmentation.js';
import { cutText, escapeXml, FONT, textWidth } from './svg-text.js';

export interface LegendPanel {
  readonly svg: string;
  readonly width: number;
  readonly height: number;
  readonly background: string;
}

interface Entry {
  readonly name: string;
  readonly colour: string;
  readonly count: number;
  readonly score: number;
  readonly area: number;
}

const BACKGROUND = '#14171f';
const LEAST_WIDTH = 420;
const MOST_ENTRIES = 60;

/** The panel for a picture of width × height pixels; at least as wide as the picture. */
export function renderLegend(
  segmentation: Segmentation,
  pictureWidth: number,
  pictureHeight: number,
): LegendPanel {
  const width = Math.max(LEAST_WIDTH, pictureWidth);
  const size = Math.max(13, Math.round(Math.min(width, 2 * pictureHeight) / 62));
  const margin = Math.round(size * 1.1);
  const rowHeight = Math.round(size * 1.75);
  const entries = collectEntries(segmentation);
  const shown = entries.slice(0, MOST_ENTRIES);
  const columns = Math.max(1, Math.floor((width - 2 * margin) / (size * 17)));
  const columnWidth = (width - 2 * margin) / columns;
  const rows = Math.ceil(shown.length / columns);
  const heading = renderHeading(segmentation, { size, margin, width });
  const top = margin + heading.lines * rowHeight;
  const parts = [heading.svg];
  shown.forEach((entry, index) => {
    // Down the columns, so that the largest classes lead the first one.
    const x = margin + Math.floor(index / rows) * columnWidth;
    const y = top + (index % rows) * rowHeight;
    parts.push(row(entry, { x, y, size, width: columnWidth - size }));
  });
  let height = top + rows * rowHeight + margin;
  if (entries.length > shown.length || entries.length === 0) {
    const note =
      entries.length === 0 ? 'nothing found' : `and ${entries.length - shown.length} more`;
    parts.push(
      textAt(note, { x: margin, y: top + rows * rowHeight + size, size, fill: '#9aa3b2' }),
    );
    height += rowHeight;
  }
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<rect width="${width}" height="${height}" fill="${BACKGROUND}"/>${parts.join('')}</svg>`;
  return { svg, width, height, background: BACKGROUND };
}

/** One entry per class that has segments, by falling area. */
function collectEntries(segmentation: Segmentation): Entry[] {
  const byClass = new Map<number, Entry>();
  for (const { classIndex, className, score, area } of segmentation.segments) {
    const entry = byClass.get(classIndex);
    const found = segmentation.classes[classIndex] ?? { name: className };
    byClass.set(classIndex, {
      name: className,
      colour: toHex(colourOfClass(found)),
      count: (entry?.count ?? 0) + 1,
      score: Math.max(entry?.score ?? 0, score),
      area: (entry?.area ?? 0) + area,
    });
  }
  return [...byClass.values()].sort((a, b) => b.area - a.area);
}

/** Bundle and task, on one line where both fit; "(random weights)" is never cut away. */
function renderHeading(
  segmentation: Segmentation,
  { size, margin, width }: { size: number; margin: number; width: number },
): { svg: string; lines: number } {
  const { bundle, task, segments } = segmentation;
  const count = `${task} · ${segments.length} segment${segments.length === 1 ? '' : 's'}`;
  const room = width - 2 * margin;
  const oneLine = textWidth(bundle.label, size) + textWidth(count, size) + size <= room;
  const note = bundle.label.slice(bundle.name.length);
  const name = cutText(bundle.name, size, room - textWidth(note, size));
  const y = margin + size * 0.8;
  const countAt = oneLine
    ? ({ x: width - margin, y, anchor: 'end' } as const)
    : { x: margin, y: y + size * 1.5 };
  const fill = bundle.weights === 'random' ? '#ffb454' : '#ffffff';
  const svg =
    textAt(name + note, { x: margin, y, size, fill }) +
    textAt(count, { ...countAt, size: Math.round(size * 0.92), fill: '#9aa3b2' });
  return { svg, lines: oneLine ? 1 : 2 };
}

function row(
  entry: Entry,
  { x, y, size, width }: { x: number; y: number; size: number; width: number },
): string {
  const swatch = size * 1.05;
  const score = entry.score.toFixed(2);
  const scoreWidth = textWidth(score, size);
  const count = entry.count > 1 ? ` ×${entry.count}` : '';
  const room = width - swatch - size * 1.2 - scoreWidth - textWidth(count, size);
  const name = cutText(entry.name, size, room) + count;
  const baseline = y + size * 0.9;
  return (
    `<rect x="${x}" y="${y}" width="${swatch}" height="${swatch}" rx="${size * 0.22}" ` +
    `fill="${entry.colour}"/>` +
    textAt(name, { x: x + swatch + size * 0.55, y: baseline, size, fill: '#eef1f6' }) +
    textAt(score, { x: x + width, y: baseline, size, fill: '#9aa3b2', anchor: 'end' })
  );
}

function textAt(
  text: string,
  at: { x: number; y: number; size: number; fill: string; anchor?: 'end' },
): string {
  return (
    `<text x="${at.x.toFixed(1)}" y="${at.y.toFixed(1)}" ${FONT} font-size="${at.size}" ` +
    `fill="${at.fill}"${at.anchor === 'end' ? ' text-anchor="end"' : ''}>${escapeXml(text)}</text>`
  );
}
