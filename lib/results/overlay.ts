/** The overlay picture: image, class colours, outlines, names inside segments, legend. */
import sharp, { type OverlayOptions as Layer } from 'sharp';
import type { DecodedImage } from '../image.js';
import { breathe, throwIfAborted } from '../job.js';
import { booleanValue, type CallOptions, checkOptions, DEFAULTS, numberIn } from '../options.js';
import { colourOfClass, type Rgb } from './colours.js';
import { namesSvg } from './label-placement.js';
import { renderLegend } from './legend.js';
import type { RegionMap, Segmentation } from './segmentation.js';

export interface OverlayOptions extends CallOptions {
  /** Share of the class colour over the image, [0, 1]. */
  readonly opacity?: number | undefined;
  readonly outlines?: boolean | undefined;
  /** Names inside segments that have room for them. */
  readonly names?: boolean | undefined;
  readonly legend?: boolean | undefined;
  /** Add the segment ids of things to their names, as of frames of a video. */
  readonly ids?: boolean | undefined;
}

/** Results smaller than this on their longer side are enlarged, or names could not be read. */
const LEAST_SIDE = 800;
const MOST_ENLARGEMENT = 16;
/** Work between two breaths, pixels. */
const PIXELS_PER_BREATH = 1 << 16;

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
  checkOptions(options, ['opacity', 'outlines', 'names', 'legend', 'ids', 'signal'], 'options');
  const { signal } = options;
  throwIfAborted(signal);
  const { overlay } = DEFAULTS;
  const opacity = numberIn(options.opacity ?? overlay.opacity, 0, 1, 'options.opacity');
  const outlines = booleanValue(options.outlines ?? overlay.outlines, 'options.outlines');
  const names = booleanValue(options.names ?? overlay.names, 'options.names');
  const legend = booleanValue(options.legend ?? overlay.legend, 'options.legend');

  const ids = booleanValue(options.ids ?? overlay.ids, 'options.ids');

  const canvas = await makeCanvas(segmentation, image, signal);
  await blend(canvas, paletteOf(segmentation, ids), { opacity, outlines, signal });
  const { width, height } = canvas;
  const layers: Layer[] = [];
  if (names) {
    const svg = await namesSvg(segmentation, canvas, { owners: canvas.owners, ids }, signal);
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

async function makeCanvas(
  segmentation: Segmentation,
  image: DecodedImage,
  signal: AbortSignal | undefined,
): Promise<Canvas> {
  const longest = Math.max(segmentation.width, segmentation.height);
  const scale = Math.min(MOST_ENLARGEMENT, Math.max(1, Math.ceil(LEAST_SIDE / longest)));
  const width = segmentation.width * scale;
  const height = segmentation.height * scale;
  const map = await segmentation.regionMap(signal);
  const raw = { width: image.width, height: image.height, channels: 3 } as const;
  const source = sharp(image.rgb, { raw, limitInputPixels: false });
  const same = image.width === width && image.height === height;
  const resized = same ? source : source.resize(width, height, { fit: 'fill' });
  const rgb = await resized.removeAlpha().toColourspace('srgb').raw().toBuffer();
  const owners = await enlargeOwners(map, segmentation, scale, signal);
  return { rgb, width, height, owners };
}

/** Segment ids of the canvas's pixels. */
async function enlargeOwners(
  map: RegionMap,
  { width, height }: Segmentation,
  scale: number,
  signal: AbortSignal | undefined,
): Promise<Int32Array> {
  const wide = width * scale;
  const owners = new Int32Array(wide * height * scale);
  const rowsPerBreath = Math.max(1, Math.floor(PIXELS_PER_BREATH / wide));
  for (let y = 0; y < height * scale; y++) {
    if (y % rowsPerBreath === rowsPerBreath - 1) await breathe(signal);
    const from = Math.floor(y / scale) * width;
    for (let x = 0; x < width; x++) {
      const owner = (map.data[from + x] as number) + map.offset;
      const to = y * wide + x * scale;
      for (let copy = 0; copy < scale; copy++) owners[to + copy] = owner;
    }
  }
  return owners;
}

/** uint8 [3 × (last id + 1)]: the colour of each id; 0 for ids that nobody has. */
function paletteOf(
  segmentation: Segmentation,
  ids: boolean,
): { colours: Uint8Array; known: Uint8Array } {
  const last = segmentation.segments.reduce((most, { id }) => Math.max(most, id), 0);
  const colours = new Uint8Array(3 * (last + 1));
  const known = new Uint8Array(last + 1);
  const byClass = segmentation.classes.map(colourOfClass);
  const shades = new Map<number, number>();
  for (const { id, classIndex } of segmentation.segments) {
    const nth = shades.get(classIndex) ?? 0;
    shades.set(classIndex, nth + 1);
    // Where ids last, as in a video, shades go by them: others that come must not repaint it.
    colours.set(shade(byClass[classIndex] as Rgb, ids ? id : nth), 3 * id);
    known[id] = 1;
  }
  return { colours, known };
}

/** Objects of one class keep its hue and differ a little in lightness; the first is unchanged. */
function shade(colour: Rgb, nth: number): Rgb {
  const share = [0, 0.28, -0.28, 0.14, -0.14][nth % 5] as number;
  const target = share > 0 ? 255 : 0;
  const mixed = colour.map((channel) => Math.round(channel + (target - channel) * Math.abs(share)));
  return mixed as unknown as Rgb;
}

/** Lays class colours over the image; outlines are the same colour, undiluted and darker. */
async function blend(
  canvas: Canvas,
  { colours, known }: { colours: Uint8Array; known: Uint8Array },
  {
    opacity,
    outlines,
    signal,
  }: { opacity: number; outlines: boolean; signal: AbortSignal | undefined },
): Promise<void> {
  const { rgb, width, height, owners } = canvas;
  const reach = Math.max(1, Math.round(Math.max(width, height) / 700));
  const rowsPerBreath = Math.max(1, Math.floor(PIXELS_PER_BREATH / width));
  for (let y = 0; y < height; y++) {
    if (y % rowsPerBreath === rowsPerBreath - 1) await breathe(signal);
    for (let x = 0; x < width; x++) {
      const pixel = y * width + x;
      const id = owners[pixel] as number;
      if (known[id] !== 1) continue;
      const edge =
        outlines &&
        ((x >= reach && owners[pixel - reach] !== id) ||
          (x + reach < width && owners[pixel + reach] !== id) ||
          (y >= reach && owners[pixel - reach * width] !== id) ||
          (y + reach < height && owners[pixel + reach * width] !== id));
      const keep = edge ? 0 : 1 - opacity;
      const tint = edge ? EDGE_SHADE : opacity;
      for (let channel = 0; channel < 3; channel++) {
        const at = 3 * pixel + channel;
        rgb[at] = (rgb[at] as number) * keep + (colours[3 * id + channel] as number) * tint + 0.5;
      }
    }
  }
}

/** How dark an outline is beside its class colour. */
const EDGE_SHADE = 0.55;
