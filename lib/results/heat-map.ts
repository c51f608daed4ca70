/** How well each place of an image fits a text, and a picture of it. */
import sharp from 'sharp';
import type { GridFrame } from '../frame.js';
import type { DecodedImage } from '../image.js';
import { breathe, throwIfAborted } from '../job.js';
import { booleanValue, type CallOptions, checkOptions, numberIn, rangeIn } from '../options.js';
import type { Rgb } from './colours.js';
import { cutText, escapeXml, FONT } from './svg-text.js';

export interface HeatMapOptions extends CallOptions {
  /** Share of the colour over the grey image, [0, 1]. Default 0.65. */
  readonly opacity?: number | undefined;
  /** Cosines that get the first and the last colour. Default: the least and the largest of the map. */
  readonly range?: readonly [number, number] | undefined;
  /** A strip with the text and the colours under the picture. Default true. */
  readonly legend?: boolean | undefined;
}

/** Values of places on a grid. */
export interface PlaceGrid extends GridFrame {
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
}

const ROWS_PER_BREATH = 64;
/** Viridis, by Nathaniel Smith and Stéfan van der Walt (CC0), at even steps. */
const COLOURS: readonly Rgb[] = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 74, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [109, 205, 89],
  [180, 222, 44],
  [253, 231, 37],
];

/** Cosines between one text and the places of one image. */
export class HeatMap {
  /** The text as it was asked for. */
  readonly text: string;
  /** Size of the upright image, pixels. */
  readonly width: number;
  readonly height: number;
  /** float32 [height × width], row-major: cosines in [-1, 1], bilinear between the places. */
  readonly values: Float32Array;
  /** Least and largest of {@link values}. */
  readonly least: number;
  readonly most: number;
  readonly #image: DecodedImage;

  /** @internal */
  constructor(text: string, values: Float32Array, image: DecodedImage) {
    this.text = text;
    this.width = image.width;
    this.height = image.height;
    this.values = values;
    this.#image = image;
    let least = Infinity;
    let most = -Infinity;
    for (const value of values) {
      if (value < least) least = value;
      if (value > most) most = value;
    }
    this.least = least;
    this.most = most;
  }

  /** PNG: the image in grey under the map's colours, with the text and the scale below. */
  async toPicture(options: HeatMapOptions = {}): Promise<Buffer> {
    checkOptions(options, ['opacity', 'range', 'legend', 'signal'], 'options');
    const { signal } = options;
    throwIfAborted(signal);
    const opacity = numberIn(options.opacity ?? 0.65, 0, 1, 'options.opacity');
    const legend = booleanValue(options.legend ?? true, 'options.legend');
    const range = rangeIn(options.range ?? [this.least, this.most], -1e6, 1e6, 'options.range');
    const { width, height } = this;
    const rgb = await this.#colours(opacity, range, signal);
    const picture = sharp(rgb, { raw: { width, height, channels: 3 }, limitInputPixels: false });
    if (!legend) return picture.png().toBuffer();
    const panel = legendSvg(this.text, range, width);
    return picture
      .extend({ bottom: panel.height, background: BACKGROUND })
      .composite([{ input: Buffer.from(panel.svg), left: 0, top: height }])
      .removeAlpha()
      .png()
      .toBuffer();
  }

  async #colours(
    opacity: number,
    [low, high]: readonly [number, number],
    signal: AbortSignal | undefined,
  ): Promise<Buffer> {
    const { width, height, values } = this;
    const { rgb } = this.#image;
    const scale = high > low ? 1 / (high - low) : 0;
    const out = Buffer.allocUnsafe(3 * width * height);
    for (let y = 0; y < height; y++) {
      if (y % ROWS_PER_BREATH === ROWS_PER_BREATH - 1) await breathe(signal);
      for (let at = y * width; at < (y + 1) * width; at++) {
        const [r, g, b] = [rgb[3 * at], rgb[3 * at + 1], rgb[3 * at + 2]] as [
          number,
          number,
          number,
        ];
        const grey = 0.299 * r + 0.587 * g + 0.114 * b;
        const colour = colourAt(((values[at] as number) - low) * scale);
        for (let c = 0; c < 3; c++) {
          out[3 * at + c] = Math.round(grey + opacity * ((colour[c] as number) - grey));
        }
      }
    }
    return out;
  }
}

/** Values at every pixel of an image of `size`: bilinear, half-pixel centres, the border repeated. */
export async function spread(
  grid: PlaceGrid,
  size: { readonly width: number; readonly height: number },
  signal?: AbortSignal,
): Promise<Float32Array> {
  const { width, height, values, area, validSize } = grid;
  const columns = tapsOf(size.width, validSize.width, width, [area.left, area.width]);
  const rows = tapsOf(size.height, validSize.height, height, [area.top, area.height]);
  const out = new Float32Array(size.width * size.height);
  for (let y = 0; y < size.height; y++) {
    if (y % ROWS_PER_BREATH === ROWS_PER_BREATH - 1) await breathe(signal);
    const [top, bottom, v] = rows[y] as Tap;
    for (let x = 0; x < size.width; x++) {
      const [left, right, u] = columns[x] as Tap;
      const above = mix(values, top * width + left, top * width + right, u);
      const below = mix(values, bottom * width + left, bottom * width + right, u);
      out[y * size.width + x] = above + v * (below - above);
    }
  }
  return out;
}

type Tap = readonly [first: number, second: number, weight: number];

function mix(values: Float32Array, first: number, second: number, weight: number): number {
  const a = values[first] as number;
  return a + weight * ((values[second] as number) - a);
}

/** What each pixel of an output reads along one axis of the grid, whose cells fill some pixels. */
function tapsOf(
  output: number,
  valid: number,
  cells: number,
  [begin, length]: readonly [number, number],
): Tap[] {
  return Array.from({ length: output }, (_, i) => {
    const inNetwork = ((i + 0.5) * valid) / output - begin;
    const place = Math.min(cells - 1, Math.max(0, (inNetwork * cells) / length - 0.5));
    const first = Math.floor(place);
    return [first, Math.min(cells - 1, first + 1), place - first];
  });
}

/** The colour at a place of the scale, 0..1; beyond it the nearest end. */
function colourAt(place: number): Rgb {
  const at = Math.min(1, Math.max(0, place)) * (COLOURS.length - 1);
  const index = Math.min(COLOURS.length - 2, Math.floor(at));
  const [a, b] = [COLOURS[index], COLOURS[index + 1]] as [Rgb, Rgb];
  return a.map((value, c) => value + (at - index) * ((b[c] as number) - value)) as unknown as Rgb;
}

const BACKGROUND = '#14171f';

function legendSvg(
  text: string,
  [low, high]: readonly [number, number],
  width: number,
): { svg: string; height: number } {
  const size = Math.max(11, Math.min(22, Math.round(width / 32)));
  const height = Math.round(4.2 * size);
  const margin = Math.min(size, width / 8);
  const stops = COLOURS.map(
    (colour, i) =>
      `<stop offset="${i / (COLOURS.length - 1)}" stop-color="rgb(${colour.join(',')})"/>`,
  ).join('');
  const at = (x: number, y: number, anchor: string, fill: string, content: string): string =>
    `<text x="${x}" y="${y}" font-size="${size}" ${FONT} text-anchor="${anchor}" fill="${fill}">` +
    `${escapeXml(content)}</text>`;
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<defs><linearGradient id="scale">${stops}</linearGradient></defs>` +
    `<rect width="${width}" height="${height}" fill="${BACKGROUND}"/>` +
    at(margin, 1.4 * size, 'start', '#ffffff', cutText(text, size, width - 2 * margin)) +
    `<rect x="${margin}" y="${1.9 * size}" width="${width - 2 * margin}" height="${0.7 * size}" ` +
    'fill="url(#scale)"/>' +
    at(margin, 3.7 * size, 'start', '#9aa3b2', low.toFixed(3)) +
    at(width - margin, 3.7 * size, 'end', '#9aa3b2', high.toFixed(3)) +
    '</svg>';
  return { svg, height };
}
