/** Draws an icon in a style: as it is, or recoloured, outlined, flattened, as line art, in grey. */
import sharp from 'sharp';
import { clamp, fromHsl, parseHex, randomColour, toHex, toHsl } from './colour.mjs';

/** Side of a rasterised icon, pixels. */
export const ICON_SIZE = 144;
const MARGIN = 0.08;
const HEX = /#[0-9a-fA-F]{3,8}\b/g;

/**
 * How one variant of an icon looks. Plain keeps the drawing; the others change what differs most
 * between artists: colour, outline, shading and detail.
 */
export function randomStyle(random) {
  const style = {
    recolour: random.chance(0.55)
      ? {
          hue: random.chance(0.35) ? random.next() : random.between(-0.06, 0.06),
          saturation: random.between(0.4, 1.5),
          lightness: random.between(-0.14, 0.14),
          contrast: random.between(0.75, 1.3),
        }
      : undefined,
    flat: random.chance(0.45),
    outline: random.chance(0.45)
      ? {
          colour: random.chance(0.75) ? '#000000' : toHex(randomColour(random, [0, 0.8], [0, 0.3])),
          width: random.between(0.006, 0.03),
        }
      : undefined,
    sticker: random.chance(0.15)
      ? { colour: random.chance(0.7) ? '#ffffff' : '#101010', width: random.between(0.02, 0.06) }
      : undefined,
    lines: random.chance(0.08)
      ? { width: random.between(0.012, 0.03), fill: random.chance(0.7) ? '#ffffff' : 'none' }
      : undefined,
    tone: random.chance(0.15) ? random.pick(['grey', 'duotone', 'tint']) : undefined,
    levels: random.chance(0.15) ? random.integer(3, 6) : undefined,
    shading: random.chance(0.25)
      ? { angle: random.between(0, Math.PI * 2), amount: random.between(0.1, 0.35) }
      : undefined,
    grain: random.chance(0.15) ? random.between(6, 24) : 0,
    blur: random.chance(0.12) ? random.between(0.5, 1.6) : 0,
    tones: [randomColour(random, [0, 0.7], [0.05, 0.35]), randomColour(random, [0, 0.7], [0.6, 1])],
  };
  return style;
}

/**
 * The icon as premultiplied RGBA.
 *
 * @param {{ body: string, viewBox: number[] }} drawing
 * @param {ReturnType<typeof randomStyle> | undefined} style undefined: as drawn
 * @param {import('./random.mjs').Random} random for grain
 * @returns {Promise<Uint8ClampedArray>} ICON_SIZE × ICON_SIZE × 4
 */
export async function rasterise(drawing, style, random) {
  const svg = Buffer.from(svgOf(drawing, style));
  let image = sharp(svg, { limitInputPixels: 4_000_000 }).resize(ICON_SIZE, ICON_SIZE);
  if (style?.blur) image = image.blur(style.blur);
  const { data } = await image.ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  const pixels = new Uint8ClampedArray(data.buffer, data.byteOffset, data.byteLength);
  if (style !== undefined) restylePixels(pixels, style, random);
  premultiply(pixels);
  return pixels;
}

function svgOf({ body, viewBox }, style) {
  const [left, top, width, height] = viewBox;
  const side = Math.max(width, height);
  const pad = side * MARGIN;
  const box = [
    left - (side - width) / 2 - pad,
    top - (side - height) / 2 - pad,
    side + 2 * pad,
    side + 2 * pad,
  ];
  const inner = style === undefined ? body : restyleBody(body, style, side);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `width="${ICON_SIZE}" height="${ICON_SIZE}" viewBox="${box.join(' ')}">${inner}</svg>`
  );
}

function restyleBody(original, style, side) {
  let body = original;
  if (style.flat) body = flatten(body);
  if (style.recolour) body = recolour(body, style.recolour);
  if (style.lines) {
    const { width, fill } = style.lines;
    const drawn = body.replace(/fill="(#[0-9a-fA-F]{3,8}|url\([^)]*\)|[a-z]+)"/g, (match, value) =>
      value === 'none' ? match : `fill="${fill}"`,
    );
    return stroked(drawn, '#000000', width * side, fill);
  }
  let result = style.outline
    ? stroked(body, style.outline.colour, style.outline.width * side)
    : body;
  if (style.sticker) {
    const { colour, width } = style.sticker;
    const under = body
      .replace(/id="([^"]+)"/g, 'id="u$1"')
      .replace(/url\(#([^)]+)\)/g, 'url(#u$1)')
      .replace(/href="#([^"]+)"/g, 'href="#u$1"');
    result = `${stroked(under, colour, width * 2 * side)}${result}`;
  }
  return result;
}

function stroked(body, colour, width, fill) {
  const fills = fill === undefined ? '' : ` fill="${fill}"`;
  return (
    `<g stroke="${colour}" stroke-width="${width.toFixed(3)}" stroke-linejoin="round" ` +
    `stroke-linecap="round"${fills}>${body}</g>`
  );
}

/** Every gradient becomes one of its own colours. */
function flatten(body) {
  const colours = new Map();
  for (const [, id, content] of body.matchAll(
    /<(?:linear|radial)Gradient[^>]*\bid="([^"]+)"[^>]*>(.*?)<\/(?:linear|radial)Gradient>/gs,
  )) {
    const stops = [...content.matchAll(/stop-color="(#[0-9a-fA-F]{3,8})"/g)].map(([, c]) => c);
    if (stops.length > 0) colours.set(id, stops[Math.floor(stops.length / 2)]);
  }
  return body.replace(/url\(#([^)]+)\)/g, (match, id) => colours.get(id) ?? match);
}

function recolour(body, { hue, saturation, lightness, contrast }) {
  return body.replace(HEX, (text) => {
    const [r, g, b, alpha] = parseHex(text);
    const [h, s, l] = toHsl([r, g, b]);
    const changed = Math.min(1, Math.max(0, 0.5 + (l - 0.5) * contrast + lightness));
    return toHex(fromHsl([h + hue + 1, Math.min(1, s * saturation), changed]), alpha);
  });
}

function restylePixels(pixels, style, random) {
  const { tone, levels, shading, grain, tones } = style;
  if (!tone && !levels && !shading && !grain) return;
  const [dark, light] = tones;
  const dx = shading ? Math.cos(shading.angle) : 0;
  const dy = shading ? Math.sin(shading.angle) : 0;
  for (let i = 0, at = 0; at < pixels.length; i++, at += 4) {
    if (pixels[at + 3] === 0) continue;
    const luma = (0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2]) / 255;
    const x = (i % ICON_SIZE) / ICON_SIZE - 0.5;
    const y = Math.floor(i / ICON_SIZE) / ICON_SIZE - 0.5;
    const gain = shading ? 1 + 2 * shading.amount * (x * dx + y * dy) : 1;
    const noise = grain === 0 ? 0 : random.between(-grain, grain);
    for (let c = 0; c < 3; c++) {
      let value = pixels[at + c];
      if (tone === 'grey') value = 255 * luma;
      else if (tone === 'duotone') value = dark[c] + (light[c] - dark[c]) * luma;
      else if (tone === 'tint') value = 0.5 * value + 0.5 * (dark[c] + (light[c] - dark[c]) * luma);
      if (levels) value = (Math.round((value / 255) * (levels - 1)) / (levels - 1)) * 255;
      pixels[at + c] = clamp(value * gain + noise);
    }
  }
}

function premultiply(pixels) {
  for (let at = 0; at < pixels.length; at += 4) {
    const alpha = pixels[at + 3];
    if (alpha === 255) continue;
    for (let c = 0; c < 3; c++) pixels[at + c] = (pixels[at + c] * alpha + 127) / 255;
  }
}
