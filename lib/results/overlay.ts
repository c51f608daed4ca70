/** The overlay picture: image, class colours, outlines, names inside segments, legend. */
import sharp, { type OverlayOptions as Layer } from 'sharp';
import type { DecodedImage } from '../image.js';
import { breathe } from '../job.js';
import { booleanValue, checkOptions, DEFAULTS, numberIn } from '../options.js';
import { colourOfClass, type Rgb } from './colours.js';
import { namesSvg } from './label-placement.js';
import { renderLegend } from './legend.js';
import type { RegionMap, Segmentation } from './segmentation.js';

export interface OverlayOptions {
  /** Share of the class colour over the image, [0, 1]. */
  readonly opacity?: number | undefined;
  readonly outlines?: boolean | undefined;
  /** Names inside segments that have room for them. */
  readonly names?: boolean | undefined;
  readonly legend?: boolean | undefined;
}

/** Results smaller than this on their longer side are enlarged, or names could not be read. */
const LEAST_SIDE = 800;
const MOST_ENLARGEMENT = 16;
/** Work between two breaths, pixels. */
const PIXELS_PER_BREATH = 1 << 18;

/** A canvas of RGB pixels and the owner of each. */
interface Canvas {
  readonly rgb: Buffer;
  readonly width: number;
  readonly height: number;
  readonly owners: Int32Array;
}

export async function toOverlay(
  segmentation: Segmentation,
  image: DecodedImage,
  options: OverlayOptions,
): Promise<Buffer> {
  checkOptions(options, ['opacity', 'outlines', 'names', 'legend'], 'options');
  const { overlay } = DEFAULTS;
  const opacity = numberIn(options.opacity ?? overlay.opacity, 0, 1, 'options.opacity');
  const outlines = booleanValue(options.outlines ?? overlay.outlines, 'options.outlines');
  const names = booleanValue(options.names ?? overlay.names, 'options.names');
  const legend = booleanValue(options.legend ?? overlay.legend, 'options.legend');

  const canvas = await makeCanvas(segmentation, image);
  const colours = coloursById(segmentation);
  await blend(canvas, colours, opacity, outlines);
  const { width, height } = canvas;
  const layers: Layer[] = [];
  if (names) {
    const svg = await namesSvg(segmentation, canvas, canvas.owners);
    layers.push({ input: Buffer.from(svg), left: 0, top: 0 });
  }
  const raw = { width, height, channels: 3 } as const;
  const picture = sharp(canvas.rgb, { raw, limitInputPixels: false })
    .composite(layers)
    .removeAlpha();
  if (!legend) return picture.png().toBuffer();
  return attachLegend(await picture.raw().toBuffer(), canvas, segmentation);
}

/** The picture with the legend's panel under it. */
async function attachLegend(
  pixels: Buffer,
  { width, height }: Canvas,
  segmentation: Segmentation,
): Promise<Buffer> {
  const panel = renderLegend(segmentation, width, height);
  const raw = { width, height, channels: 3 } as const;
  const left = Math.floor((panel.width - width) / 2);
  return sharp(pixels, { raw, limitInputPixels: false })
    .extend({
      left,
      right: panel.width - width - left,
      bottom: panel.height,
      background: panel.background,
    })
    .composite([{ input: Buffer.from(panel.svg), left: 0, top: height }])
    .removeAlpha()
    .png()
    .toBuffer();
}

async function makeCanvas(segmentation: Segmentation, image: DecodedImage): Promise<Canvas> {
  const longest = Math.max(segmentation.width, segmentation.height);
  const scale = Math.min(MOST_ENLARGEMENT, Math.max(1, Math.ceil(LEAST_SIDE / longest)));
  const width = segmentation.width * scale;
  const height = segmentation.height * scale;
  const map = await segmentation.regionMap();
  const raw = { width: image.width, height: image.height, channels: 3 } as const;
  const source = sharp(image.rgb, { raw, limitInputPixels: false });
  const same = image.width === width && image.height === height;
  const resized = same ? source : source.resize(width, height, { fit: 'fill' });
  const rgb = await resized.removeAlpha().toColourspace('srgb').raw().toBuffer();
  const owners = await enlargeOwners(map, segmentation.width, segmentation.height, scale);
  return { rgb, width, height, owners };
}

/** Segment ids of the canvas's pixels. */
async function enlargeOwners(
  map: RegionMap,
  width: number,
  height: number,
  scale: number,
): Promise<Int32Array> {
  const wide = width * scale;
  const owners = new Int32Array(wide * height * scale);
  const rowsPerBreath = Math.max(1, Math.floor(PIXELS_PER_BREATH / wide));
  for (let y = 0; y < height * scale; y++) {
    if (y % rowsPerBreath === rowsPerBreath - 1) await breathe();
    const from = Math.floor(y / scale) * width;
    for (let x = 0; x < wide; x++) {
      owners[y * wide + x] = (map.data[from + Math.floor(x / scale)] as number) + map.offset;
    }
  }
  return owners;
}

function coloursById(segmentation: Segmentation): Map<number, Rgb> {
  const colours = segmentation.classes.map(colourOfClass);
  return new Map(
    segmentation.segments.map(({ id, classIndex }) => [id, colours[classIndex] as Rgb]),
  );
}

/** Lays class colours over the image; outlines are the same colour, undiluted, edged in dark. */
async function blend(
  canvas: Canvas,
  colours: ReadonlyMap<number, Rgb>,
  opacity: number,
  outlines: boolean,
): Promise<void> {
  const { rgb, width, height, owners } = canvas;
  const thickness = Math.max(1, Math.round(Math.max(width, height) / 700));
  const rowsPerBreath = Math.max(1, Math.floor(PIXELS_PER_BREATH / width));
  for (let y = 0; y < height; y++) {
    if (y % rowsPerBreath === rowsPerBreath - 1) await breathe();
    for (let x = 0; x < width; x++) {
      const pixel = y * width + x;
      const id = owners[pixel] as number;
      const colour = colours.get(id);
      if (colour === undefined) continue;
      const edge = outlines && isEdge(owners, width, height, x, y, thickness);
      const share = edge ? 1 : opacity;
      for (let channel = 0; channel < 3; channel++) {
        const at = 3 * pixel + channel;
        const tint = (colour[channel] as number) * (edge ? 0.55 : 1);
        rgb[at] = Math.round((rgb[at] as number) * (1 - share) + tint * share);
      }
    }
  }
}

/** Whether another segment, or nobody's pixel, lies within `reach` along an axis. */
function isEdge(
  owners: Int32Array,
  width: number,
  height: number,
  x: number,
  y: number,
  reach: number,
): boolean {
  const pixel = y * width + x;
  const id = owners[pixel];
  return (
    (x >= reach && owners[pixel - reach] !== id) ||
    (x + reach < width && owners[pixel + reach] !== id) ||
    (y >= reach && owners[pixel - reach * width] !== id) ||
    (y + reach < height && owners[pixel + reach * width] !== id)
  );
}
