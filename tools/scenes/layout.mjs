/** What a scene holds and where: stuff regions, objects from back to front, and the exact truth. */
import { pasteSprite, randomPose } from './sprite.mjs';

/** An object with fewer visible pixels, or a smaller visible share, is left out of the scene. */
const LEAST_AREA = 40;
const LEAST_VISIBLE = 0.15;
const SKIES = new Set(['sky', 'clouds', 'sunset sky', 'night sky']);

/**
 * Which region each pixel belongs to: one region, a horizon, or a horizon and a patch.
 *
 * @returns {{ stuff: object[], regions: Uint8Array }} region index per pixel
 */
export function layStuff(random, stuffClasses, width, height) {
  const count = Math.min(stuffClasses.length, random.pick([1, 1, 2, 2, 2, 2, 3, 3]));
  const stuff = random.shuffled(stuffClasses).slice(0, count);
  // A sky below a floor would teach nothing that a picture shows.
  stuff.sort((a, b) => Number(SKIES.has(b.name)) - Number(SKIES.has(a.name)));
  const regions = new Uint8Array(width * height);
  if (count > 1) divide(random, regions, width, height, 1);
  if (count > 2) {
    if (random.chance(0.5)) patch(random, regions, width, height, 2);
    else divide(random, regions, width, height, 2);
  }
  return { stuff, regions };
}

/** Below a wavy or straight line, slanted or level, lies `region`. */
function divide(random, regions, width, height, region) {
  const level = (region === 1 ? random.between(0.3, 0.65) : random.between(0.7, 0.85)) * height;
  const slant = random.chance(0.5) ? random.between(-0.25, 0.25) : 0;
  const swell = random.chance(0.5) ? random.between(0, 0.06) * height : 0;
  const period = random.between(0.3, 1.2) * width;
  const phase = random.between(0, 2 * Math.PI);
  for (let x = 0; x < width; x++) {
    const wave = swell * Math.sin((2 * Math.PI * x) / period + phase);
    const from = Math.max(0, Math.round(level + slant * (x - width / 2) + wave));
    for (let y = from; y < height; y++) regions[y * width + x] = region;
  }
}

/** An ellipse or a box of `region` in the lower part. */
function patch(random, regions, width, height, region) {
  const x = random.between(0.2, 0.8) * width;
  const y = random.between(0.5, 0.9) * height;
  const rx = random.between(0.2, 0.45) * width;
  const ry = random.between(0.12, 0.3) * height;
  const round = random.chance(0.6);
  for (let py = 0; py < height; py++) {
    for (let px = 0; px < width; px++) {
      const u = (px - x) / rx;
      const v = (py - y) / ry;
      const inside = round ? u * u + v * v < 1 : Math.abs(u) < 1 && Math.abs(v) < 1;
      if (inside) regions[py * width + px] = region;
    }
  }
}

/** Objects in a scene at most. */
export const MOST_OBJECTS = 12;

/** Objects from back to front with their sprites and poses: `fewest` to twelve, rather few. */
export async function placeObjects({ sprites, things, fewest = 1 }, random, width, height) {
  const more = Math.floor((MOST_OBJECTS + 1 - fewest) * random.next() ** 1.6);
  const count = Math.min(MOST_OBJECTS, fewest + more);
  const side = Math.min(width, height);
  const crowding = Math.min(1, Math.sqrt(7 / count));
  const chosen = [];
  while (chosen.length < count) {
    const sceneClass = random.pick(things);
    const copies = random.chance(0.2) ? random.integer(2, 4) : 1;
    const alike = random.chance(0.7) ? await sprites.sprite(sceneClass, random) : undefined;
    for (let i = 0; i < copies && chosen.length < count; i++) {
      const size = side * random.logarithmic(0.15, 0.16 + 0.56 * crowding);
      const place = freePlace(random, chosen, size, width, height);
      const sprite = alike ?? (await sprites.sprite(sceneClass, random));
      chosen.push({ sceneClass, sprite, pose: randomPose(random, { ...place, size }) });
    }
  }
  // Larger objects are mostly nearer, but not always.
  const depth = new Map(chosen.map((item) => [item, item.pose.size * random.between(0.5, 1.5)]));
  return chosen.sort((a, b) => depth.get(a) - depth.get(b));
}

/** The least crowded of a few random places. */
function freePlace(random, chosen, size, width, height) {
  let best;
  for (let attempt = 0; attempt < 4; attempt++) {
    const x = random.between(0.15 * size, width - 0.15 * size);
    const y = random.between(0.15 * size, height - 0.15 * size);
    let crowd = 0;
    for (const { pose } of chosen) {
      const reach = 0.45 * (size + pose.size);
      crowd += Math.max(0, 1 - Math.hypot(pose.x - x, pose.y - y) / reach);
    }
    if (best === undefined || crowd < best.crowd) best = { x, y, crowd };
  }
  return { x: best.x, y: best.y };
}

/**
 * Who covers each pixel, and the objects that are seen well enough; the others are taken out, so
 * that nothing is in the picture that the truth does not hold.
 *
 * @returns {{ objects: object[], owners: Uint8Array }} owner 0: stuff, i + 1: objects[i]
 */
export function visibleObjects(placed, width, height) {
  const full = placed.map(({ sprite, pose }) => area(sprite, pose));
  let kept = placed.map((object, index) => ({ object, full: full[index] }));
  for (;;) {
    const owners = new Uint8Array(width * height);
    for (const [index, { object }] of kept.entries()) {
      pasteSprite(object.sprite, object.pose, width, height, (at, _r, _g, _b, alpha) => {
        if (alpha >= 128) owners[at] = index + 1;
      });
    }
    const seen = new Uint32Array(kept.length + 1);
    for (const owner of owners) seen[owner]++;
    const visible = kept.filter(
      ({ full: whole }, index) =>
        seen[index + 1] >= LEAST_AREA && seen[index + 1] >= LEAST_VISIBLE * whole,
    );
    if (visible.length === kept.length) {
      return { objects: kept.map(({ object }) => object), owners };
    }
    kept = visible;
  }
}

/** Pixels of an object with nothing in front and no border. */
function area(sprite, pose) {
  const side = Math.ceil(pose.size * 1.8);
  let count = 0;
  const centred = { ...pose, x: side / 2, y: side / 2 };
  pasteSprite(sprite, centred, side, side, (_at, _r, _g, _b, alpha) => {
    if (alpha >= 128) count++;
  });
  return count;
}
