/** A colour for every class name: the same in every picture, told apart by eye. */
import type { VocabularyClass } from '../text/classes.js';

/** Red, green, blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Lightness and chroma pairs at which every hue is inside sRGB, or near enough to clip well. */
const TONES = [
  [0.7, 0.17],
  [0.57, 0.2],
  [0.83, 0.14],
] as const;
const HUES = 30;

/** The class's own colour, or the one of its name. */
export function colourOfClass({ name, color }: Pick<VocabularyClass, 'name' | 'color'>): Rgb {
  return color === undefined ? colourOfName(name) : parseHex(color);
}

/** A colour of the OKLCH circle, chosen by the name alone (capitals do not matter). */
export function colourOfName(name: string): Rgb {
  const hash = hashOf(name.toLowerCase());
  const [lightness, chroma] = TONES[(hash >>> 16) % TONES.length] as readonly [number, number];
  return oklchToRgb(lightness, chroma, ((hash % HUES) * 360) / HUES);
}

/** `#rrggbb`. */
export function toHex(colour: Rgb): string {
  return `#${colour.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

/** OKLCH (lightness 0 to 1, chroma, hue in degrees) → 8-bit sRGB; chroma is lowered to fit. */
export function oklchToRgb(lightness: number, chroma: number, hue: number): Rgb {
  const angle = (hue * Math.PI) / 180;
  for (let fitted = chroma; ; fitted *= 0.95) {
    const linear = oklabToLinear(lightness, fitted * Math.cos(angle), fitted * Math.sin(angle));
    const fits = linear.every((value) => value >= -1e-4 && value <= 1.0001);
    if (fits || fitted < 0.01) return linear.map(toByte) as unknown as Rgb;
  }
}

/** Björn Ottosson's OKLab, inverse: LMS cube roots, then linear sRGB. */
function oklabToLinear(lightness: number, a: number, b: number): [number, number, number] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function toByte(linear: number): number {
  const clipped = Math.min(1, Math.max(0, linear));
  const encoded = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055;
  return Math.round(encoded * 255);
}

function parseHex(color: string): Rgb {
  const value = Number.parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** FNV-1a over UTF-16 units, then mixed so that like names part. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
