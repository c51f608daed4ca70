/** Icons ready to be pasted: variants in a cache, and the warp that puts one into a picture. */
import { ICON_SIZE, randomStyle, rasterise } from './icon-style.mjs';
import { Random } from './random.mjs';

/** Different looks of one drawing. */
const VARIANTS = 40;
const CACHED = 4000;

/** Halved copies of an icon, the largest first; all premultiplied RGBA squares. */
function mipmaps(pixels) {
  const levels = [{ side: ICON_SIZE, pixels }];
  while (levels.at(-1).side > 9) {
    const { side, pixels: source } = levels.at(-1);
    const half = side >> 1;
    const target = new Uint8ClampedArray(half * half * 4);
    for (let y = 0; y < half; y++) {
      for (let x = 0; x < half; x++) {
        for (let c = 0; c < 4; c++) {
          const at = (2 * y * side + 2 * x) * 4 + c;
          const sum =
            source[at] + source[at + 4] + source[at + side * 4] + source[at + side * 4 + 4];
          target[(y * half + x) * 4 + c] = (sum + 2) >> 2;
        }
      }
    }
    levels.push({ side: half, pixels: target });
  }
  return levels;
}

/** Sprites of classes from icon sets; the least recently used are forgotten. */
export class SpriteCache {
  #sets;
  #plain;
  #sprites = new Map();

  /** @param {number} plain share of sprites in the style of their artist, 0..1 */
  constructor(sets, plain) {
    this.#sets = sets;
    this.#plain = plain;
  }

  /** A random look of a class, in one of the sets that have it. */
  async sprite(sceneClass, random) {
    const sets = this.#sets.filter((set) => set.nameOf(sceneClass) !== undefined);
    if (sets.length === 0) throw new Error(`No icon set has a drawing of ${sceneClass.name}`);
    const set = random.pick(sets);
    const variant = random.chance(this.#plain) ? 0 : random.integer(1, VARIANTS);
    const key = `${set.name}/${sceneClass.icon}/${variant}`;
    let sprite = this.#sprites.get(key);
    if (sprite === undefined) {
      const own = new Random('variant', key);
      const style = variant === 0 ? undefined : randomStyle(own);
      sprite = mipmaps(await rasterise(set.drawing(sceneClass), style, own));
      if (this.#sprites.size >= CACHED) {
        this.#sprites.delete(this.#sprites.keys().next().value);
      }
    } else {
      this.#sprites.delete(key);
    }
    this.#sprites.set(key, sprite);
    return sprite;
  }
}

/**
 * Where and how a sprite lies in a picture.
 *
 * @typedef {object} Pose
 * @property {number} x centre, pixels
 * @property {number} y centre, pixels
 * @property {number} size side of the icon's square, pixels
 * @property {number} angle radians
 * @property {boolean} flip left and right exchanged
 * @property {number} squeeze height over width, about 1
 * @property {number} shear about 0
 */

/** A random pose of a size in a picture. */
export function randomPose(random, { x, y, size }) {
  return {
    x,
    y,
    size,
    angle: random.chance(0.15) ? random.between(-Math.PI, Math.PI) : random.between(-0.4, 0.4),
    flip: random.chance(0.5),
    squeeze: random.between(0.85, 1.18),
    shear: random.between(-0.12, 0.12),
  };
}

/**
 * Calls paint(pixel index, r, g, b, alpha) with premultiplied values 0..255 for every pixel of a
 * picture that the sprite covers.
 */
export function pasteSprite(sprite, pose, width, height, paint) {
  const level = sprite.find(({ side }) => side <= pose.size * 1.5) ?? sprite.at(-1);
  const chosen =
    sprite.indexOf(level) > 0 && level.side < pose.size ? sprite[sprite.indexOf(level) - 1] : level;
  const { side, pixels } = chosen;
  const scale = side / pose.size;
  const cos = Math.cos(pose.angle);
  const sin = Math.sin(pose.angle);
  const reach = pose.size * 0.5 * 1.6;
  const first = {
    x: Math.max(0, Math.floor(pose.x - reach)),
    y: Math.max(0, Math.floor(pose.y - reach)),
  };
  const last = {
    x: Math.min(width - 1, Math.ceil(pose.x + reach)),
    y: Math.min(height - 1, Math.ceil(pose.y + reach)),
  };
  for (let py = first.y; py <= last.y; py++) {
    for (let px = first.x; px <= last.x; px++) {
      const dx = px + 0.5 - pose.x;
      const dy = py + 0.5 - pose.y;
      let u = cos * dx + sin * dy;
      const v = (-sin * dx + cos * dy) / pose.squeeze;
      u += pose.shear * v;
      if (pose.flip) u = -u;
      const sx = u * scale + side / 2 - 0.5;
      const sy = v * scale + side / 2 - 0.5;
      const x0 = Math.floor(sx);
      const y0 = Math.floor(sy);
      if (x0 < 0 || y0 < 0 || x0 >= side - 1 || y0 >= side - 1) continue;
      const fx = sx - x0;
      const fy = sy - y0;
      const at = (y0 * side + x0) * 4;
      const below = at + side * 4;
      const a = (1 - fx) * (1 - fy);
      const b = fx * (1 - fy);
      const c = (1 - fx) * fy;
      const d = fx * fy;
      const alpha =
        pixels[at + 3] * a + pixels[at + 7] * b + pixels[below + 3] * c + pixels[below + 7] * d;
      if (alpha < 1) continue;
      paint(
        py * width + px,
        pixels[at] * a + pixels[at + 4] * b + pixels[below] * c + pixels[below + 4] * d,
        pixels[at + 1] * a + pixels[at + 5] * b + pixels[below + 1] * c + pixels[below + 5] * d,
        pixels[at + 2] * a + pixels[at + 6] * b + pixels[below + 2] * c + pixels[below + 6] * d,
        alpha,
      );
    }
  }
}
