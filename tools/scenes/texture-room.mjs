/** Shaders of walls, floors, cloths and roads. */
import { mix, near, shade } from './colour.mjs';
import { Cells, Noise } from './noise.mjs';

const anyColour = (random, saturation, lightness) =>
  near(random, random.between(0, 360), 0, saturation, lightness);

/** Place in a repeated unit 0..1. */
const fraction = (value) => value - Math.floor(value);

function brickWall(random, { zoom }) {
  const dark = near(random, 10, 8, [0.35, 0.6], [0.26, 0.36]);
  const light = near(random, 16, 8, [0.4, 0.65], [0.42, 0.56]);
  const mortar = near(random, 35, 20, [0, 0.2], [0.55, 0.85]);
  const width = random.between(30, 56) * zoom;
  const height = width * random.between(0.34, 0.5);
  const gap = random.between(0.05, 0.1);
  const tone = new Noise(random);
  const grain = new Noise(random);
  return (x, y, out) => {
    const row = Math.floor(y / height);
    const along = x / width + (row & 1) * 0.5;
    const u = fraction(along);
    const v = fraction(y / height);
    if (u < gap || v < (gap * width) / height) mix(out, mortar, mortar, 0);
    else mix(out, dark, light, 0.15 + 0.7 * tone.cell(Math.floor(along), row));
    shade(out, 0.9 + 0.2 * grain.at(x / 2, y / 2));
  };
}

function stoneWall(random, { zoom }) {
  const dark = near(random, 40, 30, [0, 0.12], [0.35, 0.48]);
  const light = near(random, 40, 30, [0, 0.15], [0.6, 0.75]);
  const cells = new Cells(random);
  const grain = new Noise(random);
  const size = random.between(24, 42) * zoom;
  const joint = random.between(0.07, 0.13);
  const gap = random.chance(0.6) ? 0.45 : 1.25;
  const found = [0, 0, 0, 0, 0];
  return (x, y, out) => {
    cells.at(x / size, (1.25 * y) / size, found);
    mix(out, dark, light, found[2]);
    const inside = found[1] - found[0] > joint;
    shade(
      out,
      (inside ? 1.06 - 0.2 * found[0] : gap) * (0.86 + 0.28 * grain.octaves(x / 6, y / 6, 2)),
    );
  };
}

function woodenFloor(random, { zoom }) {
  const hue = random.between(20, 34);
  const dark = near(random, hue, 4, [0.35, 0.6], [0.24, 0.36]);
  const light = near(random, hue + 4, 4, [0.4, 0.65], [0.46, 0.64]);
  const plank = random.between(16, 34) * zoom;
  const length = plank * random.between(4, 8);
  const upright = random.chance(0.4);
  const tone = new Noise(random);
  const grain = new Noise(random);
  return (px, py, out) => {
    const x = upright ? py : px;
    const y = upright ? px : py;
    const row = Math.floor(y / plank);
    const along = x / length + tone.cell(row, 7) * 3;
    const board = tone.cell(Math.floor(along), row);
    const fibre = grain.octaves(x / (40 * zoom) + 9 * board, (y + 20 * board) / (2.2 * zoom), 2);
    mix(out, dark, light, 0.55 * board + 0.5 * fibre);
    if (fraction(y / plank) * plank < 1.3 || fraction(along) * length < 1.3) shade(out, 0.5);
  };
}

function tiles(random, { zoom }) {
  const first = anyColour(random, [0, 0.5], [0.7, 0.95]);
  const second = random.chance(0.55) ? anyColour(random, [0, 0.7], [0.1, 0.6]) : first;
  const grout = anyColour(random, [0, 0.1], [0.4, 0.9]);
  const size = random.between(22, 46) * zoom;
  const gap = random.between(0.03, 0.07);
  const diagonal = random.chance(0.3);
  const tone = new Noise(random);
  return (px, py, out) => {
    const x = (diagonal ? (px + py) * Math.SQRT1_2 : px) / size;
    const y = (diagonal ? (py - px) * Math.SQRT1_2 : py) / size;
    const column = Math.floor(x);
    const row = Math.floor(y);
    const base = (column + row) & 1 ? first : second;
    const inJoint = x - column < gap || y - row < gap;
    mix(out, inJoint ? grout : base, base, 0);
    if (!inJoint) shade(out, 0.93 + 0.1 * tone.cell(column, row) + 0.04 * (y - row));
  };
}

function carpet(random, { zoom }) {
  const ground = anyColour(random, [0.3, 0.75], [0.2, 0.45]);
  const pattern = anyColour(random, [0.3, 0.8], [0.5, 0.8]);
  const centre = anyColour(random, [0.3, 0.8], [0.25, 0.7]);
  const pile = new Noise(random);
  const size = random.between(30, 60) * zoom;
  const ring = random.between(0.25, 0.42);
  return (x, y, out) => {
    const u = Math.abs(fraction(x / size) - 0.5);
    const v = Math.abs(fraction(y / size) - 0.5);
    const diamond = u + v;
    const base = diamond < 0.16 ? centre : Math.abs(diamond - ring) < 0.07 ? pattern : ground;
    mix(out, base, base, 0);
    const knot = 0.5 + 0.25 * Math.sin(2.1 * x) + 0.25 * Math.sin(2.1 * y);
    shade(out, 0.72 + 0.22 * knot + 0.24 * pile.at(x / 1.7, y / 1.7));
  };
}

function metalSheet(random, { zoom, width }) {
  const dark = near(random, 215, 20, [0, 0.14], [0.42, 0.55]);
  const light = near(random, 210, 20, [0, 0.12], [0.72, 0.9]);
  const brush = new Noise(random);
  const panel = random.between(70, 130) * zoom;
  const rivet = panel / random.between(4, 6);
  const sheen = random.between(0.6, 1.6);
  return (x, y, out) => {
    const streak = brush.octaves(x / (70 * zoom), y / 1.2, 2);
    const glow = 0.5 + 0.5 * Math.sin((sheen * 2 * Math.PI * (x + 0.6 * y)) / width);
    mix(out, dark, light, 0.55 * streak + 0.5 * glow);
    const u = fraction(x / panel) * panel;
    const v = fraction(y / panel) * panel;
    if (u < 1.5 || v < 1.5) shade(out, 0.55);
    const along = fraction((u < 9 * zoom ? y : x) / rivet) * rivet - rivet / 2;
    const across = Math.min(u, v) - 5 * zoom;
    const distance = along * along + across * across;
    if (distance < 6 * zoom * zoom) shade(out, along + across < 0 ? 1.25 : 0.65);
  };
}

function curtain(random, { zoom, height }) {
  const cloth = anyColour(random, [0.2, 0.8], [0.3, 0.7]);
  const folds = new Noise(random);
  const fold = random.between(16, 38) * zoom;
  const depth = random.between(0.25, 0.45);
  return (x, y, out) => {
    const bent = x + 8 * zoom * folds.at(x / 50, (2 * y) / height);
    const wave = Math.sin((2 * Math.PI * bent) / fold);
    mix(out, cloth, cloth, 0);
    shade(out, 1 + depth * (wave + 0.4 * folds.at(bent / 9, 1) - 0.2));
  };
}

function wallpaper(random, { zoom }) {
  const ground = anyColour(random, [0.1, 0.6], [0.65, 0.92]);
  const print = anyColour(random, [0.2, 0.7], [0.35, 0.75]);
  const size = random.between(14, 34) * zoom;
  const kind = random.pick(['stripes', 'stripes', 'dots', 'flowers']);
  const share = random.between(0.3, 0.6);
  const dot = random.between(0.18, 0.3);
  return (x, y, out) => {
    let inPrint;
    if (kind === 'stripes') {
      inPrint = fraction(x / size) < share;
    } else {
      const row = Math.floor(y / size);
      const u = fraction(x / size + 0.5 * (row & 1)) - 0.5;
      const v = fraction(y / size) - 0.5;
      const petal = kind === 'dots' ? 1 : 0.75 + 0.35 * Math.cos(5 * Math.atan2(v, u));
      inPrint = Math.hypot(u, v) < dot * petal;
    }
    mix(out, inPrint ? print : ground, ground, 0);
  };
}

function asphalt(random, { zoom, height }) {
  const dark = near(random, 220, 30, [0, 0.08], [0.18, 0.27]);
  const light = near(random, 220, 30, [0, 0.08], [0.34, 0.46]);
  const paint = near(random, 48, 6, [0, 0.9], [0.75, 0.95]);
  const grain = new Noise(random);
  const wear = new Noise(random);
  const marked = random.chance(0.5);
  const line = random.between(0.2, 0.8) * height;
  const dash = random.between(40, 80) * zoom;
  return (x, y, out) => {
    const stone = grain.at(x / 1.4, y / 1.4);
    mix(out, dark, light, 0.7 * stone + 0.6 * (wear.octaves(x / 60, y / 40, 2) - 0.3));
    if (marked && Math.abs(y - line) < 4 * zoom && fraction(x / dash) < 0.6) {
      mix(out, out, paint, 0.85);
    }
  };
}

/** By class name. */
export const ROOM = {
  'brick wall': brickWall,
  'stone wall': stoneWall,
  'wooden floor': woodenFloor,
  tiles,
  carpet,
  'metal sheet': metalSheet,
  curtain,
  wallpaper,
  asphalt,
};
