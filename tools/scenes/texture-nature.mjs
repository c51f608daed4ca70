/** Shaders of skies, grounds and waters. */
import { mix, near, shade } from './colour.mjs';
import { Cells, Noise } from './noise.mjs';

function sky(random, { height }) {
  const top = near(random, 212, 14, [0.5, 0.9], [0.4, 0.65]);
  const bottom = near(random, 205, 14, [0.4, 0.9], [0.72, 0.92]);
  const haze = new Noise(random);
  return (x, y, out) => mix(out, top, bottom, y / height + 0.06 * (haze.at(x / 90, y / 60) - 0.5));
}

function clouds(random, { height, zoom }) {
  const top = near(random, 212, 20, [0.1, 0.6], [0.5, 0.7]);
  const bottom = near(random, 208, 20, [0.1, 0.5], [0.7, 0.85]);
  const white = near(random, 210, 20, [0, 0.15], [0.9, 1]);
  const grey = near(random, 215, 20, [0, 0.15], [0.6, 0.8]);
  const noise = new Noise(random);
  const scale = random.between(50, 110) * zoom;
  const cover = random.between(0.3, 0.5);
  const lump = [0, 0, 0];
  return (x, y, out) => {
    mix(out, top, bottom, y / height);
    const density = noise.octaves(x / scale, (1.5 * y) / scale, 4);
    mix(lump, grey, white, (density - cover) * 4 + 0.3);
    mix(out, out, lump, (density - cover) * 6);
  };
}

function sunset(random, { height, zoom }) {
  const top = near(random, 275, 35, [0.3, 0.7], [0.25, 0.5]);
  const middle = near(random, 345, 25, [0.5, 0.9], [0.5, 0.65]);
  const low = near(random, 33, 14, [0.8, 1], [0.52, 0.7]);
  const noise = new Noise(random);
  const bands = random.between(0.02, 0.14);
  return (x, y, out) => {
    const streak = bands * (noise.octaves(x / (160 * zoom), y / (18 * zoom), 3) - 0.5);
    const t = y / height + 2 * streak;
    if (t < 0.5) mix(out, top, middle, 2 * t);
    else mix(out, middle, low, 2 * t - 1);
  };
}

function nightSky(random, { height, zoom }) {
  const top = near(random, 235, 25, [0.4, 0.9], [0.03, 0.12]);
  const bottom = near(random, 230, 30, [0.3, 0.8], [0.1, 0.28]);
  const star = near(random, 50, 60, [0, 0.6], [0.85, 1]);
  const cells = new Cells(random);
  const spacing = random.between(10, 26) * zoom;
  const size = (random.between(0.7, 1.7) * Math.sqrt(zoom)) / spacing;
  const share = random.between(0.35, 0.9);
  const found = [0, 0, 0, 0, 0];
  return (x, y, out) => {
    mix(out, top, bottom, y / height);
    cells.at(x / spacing, y / spacing, found);
    if (found[2] < share && found[0] < size * (0.5 + found[2])) mix(out, star, star, 1);
  };
}

function grass(random, { zoom }) {
  const dark = near(random, 112, 25, [0.35, 0.75], [0.16, 0.3]);
  const light = near(random, 98, 22, [0.4, 0.8], [0.38, 0.55]);
  const blades = new Noise(random);
  const patches = new Noise(random);
  const thin = random.between(1.6, 3) * zoom;
  const long = random.between(7, 16) * zoom;
  const lean = random.between(-0.4, 0.4);
  return (x, y, out) => {
    const blade = blades.at((x + lean * y) / thin, y / long);
    const patch = patches.octaves(x / (60 * zoom), y / (40 * zoom), 2);
    mix(out, dark, light, 0.75 * blade + 0.7 * (patch - 0.4));
  };
}

function sand(random, { zoom }) {
  const dark = near(random, 38, 8, [0.3, 0.6], [0.55, 0.68]);
  const light = near(random, 42, 8, [0.4, 0.75], [0.75, 0.88]);
  const grain = new Noise(random);
  const dunes = new Noise(random);
  const wave = random.between(8, 26) * zoom;
  const ripple = random.between(0, 0.35);
  return (x, y, out) => {
    const bend = dunes.octaves(x / (90 * zoom), y / (50 * zoom), 2);
    const crest = 0.5 + 0.5 * Math.sin((2 * Math.PI * (y + 60 * bend)) / wave);
    mix(out, dark, light, 0.4 * grain.at(x / 1.3, y / 1.3) + 0.55 * bend + ripple * (crest - 0.5));
  };
}

function water(random, { zoom }) {
  const deep = near(random, 202, 22, [0.5, 0.9], [0.25, 0.42]);
  const bright = near(random, 194, 20, [0.4, 0.8], [0.55, 0.72]);
  const foam = near(random, 195, 10, [0.1, 0.5], [0.85, 0.98]);
  const noise = new Noise(random);
  const long = random.between(26, 60) * zoom;
  const high = random.between(5, 11) * zoom;
  const limit = random.between(0.66, 0.78);
  return (x, y, out) => {
    const wave = noise.octaves(x / long, y / high, 3);
    if (wave > limit) mix(out, bright, foam, (wave - limit) * 12);
    else mix(out, deep, bright, (wave - 0.25) * 2);
  };
}

function snow(random, { zoom }) {
  const shadow = near(random, 215, 15, [0.15, 0.5], [0.78, 0.88]);
  const light = near(random, 210, 20, [0, 0.3], [0.95, 1]);
  const drifts = new Noise(random);
  const sparkle = new Noise(random);
  const scale = random.between(35, 80) * zoom;
  return (x, y, out) => {
    mix(out, shadow, light, 2.2 * (drifts.octaves(x / scale, (2 * y) / scale, 3) - 0.22));
    if (sparkle.cell(Math.floor(x), Math.floor(y)) > 0.985) mix(out, light, light, 1);
  };
}

function gravel(random, { zoom }) {
  const dark = near(random, 30, 30, [0, 0.2], [0.25, 0.4]);
  const light = near(random, 35, 30, [0, 0.22], [0.62, 0.82]);
  const cells = new Cells(random);
  const size = random.between(5, 11) * zoom;
  const found = [0, 0, 0, 0, 0];
  return (x, y, out) => {
    cells.at(x / size, y / size, found);
    mix(out, dark, light, found[2]);
    const edge = found[1] - found[0];
    shade(out, edge < 0.18 ? 0.45 : 1.1 - 0.45 * found[0] + 0.2 * found[4]);
  };
}

function mud(random, { zoom }) {
  const dark = near(random, 24, 8, [0.35, 0.6], [0.12, 0.22]);
  const light = near(random, 27, 8, [0.3, 0.55], [0.3, 0.42]);
  const noise = new Noise(random);
  const scale = random.between(22, 50) * zoom;
  return (x, y, out) => {
    const lump = noise.octaves(x / scale, y / scale, 4);
    mix(out, dark, light, 2 * (lump - 0.25));
    if (lump > 0.64) shade(out, 1.25);
  };
}

function leaves(random, { zoom }) {
  const hue = random.chance(0.75) ? 105 : 40;
  const dark = near(random, hue, 20, [0.4, 0.75], [0.14, 0.26]);
  const light = near(random, hue - 8, 20, [0.45, 0.8], [0.38, 0.55]);
  const cells = new Cells(random);
  const size = random.between(14, 28) * zoom;
  const lean = random.between(0.3, 1.2);
  const found = [0, 0, 0, 0, 0];
  return (x, y, out) => {
    cells.at((x + lean * y) / size, (1.8 * (y - 0.3 * lean * x)) / size, found);
    const vein = Math.abs(found[3]) < 0.05 ? 1.35 : 1;
    mix(out, dark, light, 0.15 + 0.8 * found[2]);
    shade(out, (found[1] - found[0] < 0.1 ? 0.5 : 1.15 - 0.5 * found[0]) * vein);
  };
}

/** By class name. */
export const NATURE = {
  sky,
  clouds,
  'sunset sky': sunset,
  'night sky': nightSky,
  grass,
  sand,
  water,
  snow,
  gravel,
  mud,
  leaves,
};
