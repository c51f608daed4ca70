/** One scene: a photograph-like picture, who covers each pixel, and a few captions. */
import { sceneCaption } from './caption.mjs';
import { layStuff, placeObjects, visibleObjects } from './layout.mjs';
import { Picture } from './picture.mjs';
import { Random } from './random.mjs';
import { texture } from './texture.mjs';

/**
 * @typedef {object} Scene
 * @property {number} width pixels
 * @property {number} height pixels
 * @property {Buffer} jpeg
 * @property {{ sceneClass: object }[]} segments segment id i + 1 is segments[i]
 * @property {Uint8Array} ids segment id per pixel, never 0
 * @property {string[]} captions
 */

/**
 * Draws scene `index` of a seed; the same arguments give the same scene.
 *
 * @param {object} world
 * @param {import('./sprite.mjs').SpriteCache} world.sprites
 * @param {object[]} world.things classes that objects are chosen from
 * @param {object[]} world.stuff classes that backgrounds are chosen from
 * @param {number} [world.fewest] objects at least
 * @returns {Promise<Scene>}
 */
export async function drawScene(world, seed, index) {
  const random = new Random('scene', seed, index);
  const [width, height] = frameSize(random);
  const { stuff, regions } = layStuff(random, world.stuff, width, height);
  const { objects, owners } = await seenObjects(world, random, width, height);

  const picture = new Picture(width, height);
  for (const [region, { name }] of stuff.entries()) {
    const frame = { width, height, zoom: random.logarithmic(0.7, 1.6) };
    picture.fill(texture(name, random, frame), (at) => regions[at] === region);
  }
  const light = { x: random.between(-0.1, 0.1), y: random.between(0.02, 0.12) };
  const shadows = random.chance(0.6) ? random.between(0.15, 0.5) : 0;
  for (const { sprite, pose } of objects) {
    if (shadows > 0) {
      const moved = { ...pose, x: pose.x + light.x * pose.size, y: pose.y + light.y * pose.size };
      picture.shadow(sprite, moved, shadows);
    }
    picture.paste(sprite, pose);
  }
  picture.photograph(random);

  const { segments, ids } = segmentsOf(objects, owners, stuff, regions);
  const seen = segments.map(({ sceneClass }) => sceneClass);
  const inFront = countsOf(seen.filter(({ thing }) => thing));
  const grounds = seen.filter(({ thing }) => !thing);
  const captions = [0, 1].map(() => sceneCaption(random, inFront, grounds));
  return { width, height, jpeg: await picture.toJpeg(random), segments, ids, captions };
}

/** How often objects are placed anew where too many of them are hidden. */
const ATTEMPTS = 50;

/** Objects of which as many are seen as the world asks for, as far as places are found. */
async function seenObjects(world, random, width, height) {
  let found;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const placed = await placeObjects(world, random, width, height);
    found = visibleObjects(placed, width, height);
    if (found.objects.length >= (world.fewest ?? 1)) break;
  }
  return found;
}

/** Width and height of a picture, pixels. */
export function frameSize(random) {
  const short = random.integer(352, 448);
  const long = Math.round(short * random.pick([1, 1.2, 4 / 3, 4 / 3, 1.5]));
  return random.chance(0.7) ? [long, short] : [short, long];
}

/** Objects first, then the stuff that is left to be seen. */
function segmentsOf(objects, owners, stuff, regions) {
  const segments = objects.map(({ sceneClass }) => ({ sceneClass }));
  const ids = new Uint8Array(owners.length);
  const ofRegion = new Uint8Array(stuff.length);
  for (let at = 0; at < owners.length; at++) {
    if (owners[at] > 0) {
      ids[at] = owners[at];
      continue;
    }
    const region = regions[at];
    if (ofRegion[region] === 0) {
      segments.push({ sceneClass: stuff[region] });
      ofRegion[region] = segments.length;
    }
    ids[at] = ofRegion[region];
  }
  return { segments, ids };
}

function countsOf(classes) {
  const counts = new Map();
  for (const sceneClass of classes) counts.set(sceneClass, (counts.get(sceneClass) ?? 0) + 1);
  return [...counts].map(([sceneClass, count]) => ({ sceneClass, count }));
}
