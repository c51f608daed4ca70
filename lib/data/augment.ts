/** What training changes about an image: where it is cut, mirrored, and its colours. */
import { checkOptions, numberIn } from '../options.js';
import type { Random } from './random.js';

/** A part of an image, in its pixels, and the size it is drawn at. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly outWidth: number;
  readonly outHeight: number;
}

/** Half-widths of random changes; 0 leaves a property as it is. */
export interface ColorJitter {
  /** Factor in 1 ± this, of all channels. */
  readonly brightness?: number | undefined;
  /** Factor in 1 ± this, about the middle grey. */
  readonly contrast?: number | undefined;
  /** Factor in 1 ± this, about each pixel's grey. */
  readonly saturation?: number | undefined;
  /** Turn of the hue in ± this share of the circle, at most 0.5. */
  readonly hue?: number | undefined;
}

/** Random resized crop: share of the area and aspect, as ranges. */
export interface CropRange {
  /** Share of the image's area, in (0, 1]. Default [0.6, 1]. */
  readonly area?: readonly [number, number] | undefined;
  /** Width over height of the part that is cut, relative to the output's. Default [3/4, 4/3]. */
  readonly aspect?: readonly [number, number] | undefined;
}

export function parseColorJitter(
  value: ColorJitter | undefined,
  name: string,
): Required<Record<keyof ColorJitter, number>> {
  const jitter = value ?? {};
  checkOptions(jitter, ['brightness', 'contrast', 'saturation', 'hue'], name);
  const part = (key: keyof ColorJitter, most: number): number =>
    numberIn(jitter[key] ?? 0, 0, most, `${name}.${key}`);
  return {
    brightness: part('brightness', 1),
    contrast: part('contrast', 1),
    saturation: part('saturation', 1),
    hue: part('hue', 0.5),
  };
}

/** The part of an image that a random resized crop shows. */
export function randomResizedCrop(
  random: Random,
  image: { readonly width: number; readonly height: number },
  out: { readonly width: number; readonly height: number },
  range: { readonly area: readonly [number, number]; readonly aspect: readonly [number, number] },
): Window {
  const { width, height } = image;
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * random.between(...range.area);
    const stretch = Math.exp(random.between(Math.log(range.aspect[0]), Math.log(range.aspect[1])));
    const aspect = (stretch * out.width) / out.height;
    const w = Math.round(Math.sqrt(area * aspect));
    const h = Math.round(Math.sqrt(area / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    return placed(random.below(width - w + 1), random.below(height - h + 1), w, h);
  }
  const w = Math.min(width, Math.max(1, Math.round((height * out.width) / out.height)));
  const h = Math.min(height, Math.max(1, Math.round((width * out.height) / out.width)));
  return placed((width - w) >> 1, (height - h) >> 1, w, h);

  function placed(left: number, top: number, w: number, h: number): Window {
    return { left, top, width: w, height: h, outWidth: out.width, outHeight: out.height };
  }
}

interface Sides {
  readonly width: number;
  readonly height: number;
}

/** How large an image is drawn: by its size in the output, or by lengths of its edges, pixels. */
export type ImageScale =
  | { readonly scale: readonly [number, number] }
  | { readonly shortestEdges: readonly number[]; readonly longestEdge: number };

/**
 * The image scaled at random, then a random part of at most the output's size; what the part leaves
 * empty at the right and the bottom is padding. Large-scale jitter (`scale`) fits the image into so
 * many times the output; otherwise its shorter edge is one of some lengths, unless its longer one
 * would pass the cap.
 */
export function randomWindow(random: Random, image: Sides, out: Sides, by: ImageScale): Window {
  const factor = factorOf(random, image, out, by);
  const scaledWidth = Math.max(1, Math.round(image.width * factor));
  const scaledHeight = Math.max(1, Math.round(image.height * factor));
  const outWidth = Math.min(out.width, scaledWidth);
  const outHeight = Math.min(out.height, scaledHeight);
  const sx = image.width / scaledWidth;
  const sy = image.height / scaledHeight;
  const left = Math.floor(random.below(scaledWidth - outWidth + 1) * sx);
  const top = Math.floor(random.below(scaledHeight - outHeight + 1) * sy);
  return {
    left,
    top,
    width: Math.max(1, Math.min(image.width - left, Math.round(outWidth * sx))),
    height: Math.max(1, Math.min(image.height - top, Math.round(outHeight * sy))),
    outWidth,
    outHeight,
  };
}

function factorOf(random: Random, { width, height }: Sides, out: Sides, by: ImageScale): number {
  if ('scale' in by) {
    return random.between(...by.scale) * Math.min(out.width / width, out.height / height);
  }
  const shortest = by.shortestEdges[random.below(by.shortestEdges.length)] as number;
  return Math.min(shortest / Math.min(width, height), by.longestEdge / Math.max(width, height));
}

/** Changes colours of RGB pixels in place: one affine map for the whole image. */
export function jitterColors(
  rgb: Uint8Array,
  random: Random,
  jitter: ReturnType<typeof parseColorJitter>,
): void {
  const brightness = 1 + random.between(-jitter.brightness, jitter.brightness);
  const contrast = 1 + random.between(-jitter.contrast, jitter.contrast);
  const saturation = 1 + random.between(-jitter.saturation, jitter.saturation);
  const turn = 2 * Math.PI * random.between(-jitter.hue, jitter.hue);
  const m = hueRotation(turn, saturation).map((entry) => entry * brightness * contrast);
  const shift = 128 * (1 - contrast);
  const [a, b, c, d, e, f, g, h, i] = m as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const clamped = (value: number): number => (value < 0 ? 0 : value > 255 ? 255 : value);
  for (let at = 0; at < rgb.length; at += 3) {
    const red = rgb[at] as number;
    const green = rgb[at + 1] as number;
    const blue = rgb[at + 2] as number;
    rgb[at] = clamped(a * red + b * green + c * blue + shift);
    rgb[at + 1] = clamped(d * red + e * green + f * blue + shift);
    rgb[at + 2] = clamped(g * red + h * green + i * blue + shift);
  }
}

/** Row-major 3×3: turns hues about the grey axis and scales saturation, luma kept (BT.601). */
function hueRotation(turn: number, saturation: number): number[] {
  const luma = [0.299, 0.587, 0.114];
  const cos = saturation * Math.cos(turn);
  const sin = (saturation * Math.sin(turn)) / Math.sqrt(3);
  const cross = [0, -1, 1, 1, 0, -1, -1, 1, 0];
  return Array.from({ length: 9 }, (_, k) => {
    const grey = luma[k % 3] as number;
    const same = k % 4 === 0 ? 1 : 0;
    return grey + cos * (same - grey) + sin * (cross[k] as number);
  });
}

/** Mirrors the first `columns` of rows of `channels` bytes a pixel, in place. */
export function mirror(
  pixels: Uint8Array,
  width: number,
  channels: number,
  columns: number = width,
): void {
  const stride = width * channels;
  for (let row = 0; row < pixels.length; row += stride) {
    for (let x = 0; x < columns >> 1; x++) {
      const left = row + x * channels;
      const right = row + (columns - 1 - x) * channels;
      for (let c = 0; c < channels; c++) {
        const kept = pixels[left + c] as number;
        pixels[left + c] = pixels[right + c] as number;
        pixels[right + c] = kept;
      }
    }
  }
}
