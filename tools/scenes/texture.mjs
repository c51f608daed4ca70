/** Stuff, drawn by rule: a shader for each stuff class, different at every call. */
import { fromHsl } from './colour.mjs';
import { NATURE } from './texture-nature.mjs';
import { ROOM } from './texture-room.mjs';

/**
 * @typedef {(x: number, y: number, out: number[]) => void} Shader writes r, g, b 0..255 for a pixel
 */

const TEXTURES = { ...NATURE, ...ROOM };

/** Names of stuff that can be drawn. */
export const TEXTURE_NAMES = Object.keys(TEXTURES);

/**
 * A shader for a stuff class.
 *
 * @param {string} name of the class
 * @param {import('./random.mjs').Random} random
 * @param {{ width: number, height: number, zoom: number }} frame in pixels; zoom 1 suits 400 px
 * @returns {Shader}
 */
export function texture(name, random, frame) {
  const make = TEXTURES[name];
  if (make === undefined) throw new Error(`No texture for ${name}`);
  return make(random, frame);
}

/** A background that is no stuff class: one colour, a gradient, or blotches of two. */
export function plainBackground(random, { width, height }) {
  const colour = () => fromHsl([random.next(), random.between(0, 0.8), random.between(0.05, 1)]);
  const from = colour();
  const to = random.chance(0.4) ? from : colour();
  const angle = random.between(0, 2 * Math.PI);
  const dx = Math.cos(angle) / width;
  const dy = Math.sin(angle) / height;
  return (x, y, out) => {
    const at = Math.min(1, Math.max(0, 0.5 + (x - width / 2) * dx + (y - height / 2) * dy));
    for (let c = 0; c < 3; c++) out[c] = from[c] + (to[c] - from[c]) * at;
  };
}
