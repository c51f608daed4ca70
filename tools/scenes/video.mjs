/** A moving scene: frames like photographs, and who covers each pixel of each of them. */
import { layStuff, placeObjects } from './layout.mjs';
import { randomMotion, randomPan } from './motion.mjs';
import { Picture } from './picture.mjs';
import { Random } from './random.mjs';
import { frameSize } from './scene.mjs';
import { pasteSprite } from './sprite.mjs';
import { texture } from './texture.mjs';

/** Pixels of background that a moving camera may reveal, of the shorter side. */
const ROOM = 0.25;
/** Share of videos with a cut to another scene. */
const CUTS = 0.25;

/**
 * @typedef {object} DrawnFrame
 * @property {Buffer} jpeg
 * @property {Uint16Array} ids for each pixel: class for stuff, 100 times that and a number for things
 */

/**
 * Draws video `index` of a seed; the same arguments give the same video.
 *
 * @param {object} world
 * @param {import('./sprite.mjs').SpriteCache} world.sprites
 * @param {object[]} world.things classes that objects are chosen from
 * @param {object[]} world.stuff classes that backgrounds are chosen from
 * @param {number} world.frames
 * @param {(sceneClass: object) => number} world.numberOf number of a class in the maps, from 1
 * @returns {Promise<{ width: number, height: number, frames: DrawnFrame[] }>}
 */
export async function drawVideo(world, seed, index) {
  const random = new Random('video', seed, index);
  const [width, height] = frameSize(random);
  const { frames: length } = world;
  const cut = random.chance(CUTS) ? random.integer(Math.ceil(length / 3), length - 2) : length;
  const frames = [];
  let objects = 0;
  for (const [first, last] of cut < length
    ? [
        [0, cut],
        [cut, length],
      ]
    : [[0, length]]) {
    const size = { width, height, length: last - first };
    const shot = await composeShot(random, world, size, objects);
    objects += shot.objects.length;
    for (let t = 0; t < last - first; t++) {
      frames.push(await drawFrame(shot, size, t, new Random('light', seed, index, first)));
    }
  }
  return { width, height, frames };
}

async function composeShot(random, { sprites, things, stuff: choice, numberOf }, size, taken) {
  const { width, height, length } = size;
  const room = Math.round(ROOM * Math.min(width, height));
  const [wide, high] = [width + room, height + room];
  const { stuff, regions } = layStuff(random, choice, wide, high);
  const background = new Picture(wide, high);
  for (const [region, { name }] of stuff.entries()) {
    const frame = { width: wide, height: high, zoom: random.logarithmic(0.7, 1.6) };
    background.fill(texture(name, random, frame), (at) => regions[at] === region);
  }
  const placed = await placeObjects({ sprites, things }, random, wide, high);
  const objects = placed.map(({ sceneClass, sprite, pose }, i) => ({
    sprite,
    pose,
    move: randomMotion(random, size),
    id: 100 * numberOf(sceneClass) + taken + i + 1,
  }));
  const pan = randomPan(random, room, length);
  return { background, regions, ids: stuff.map(numberOf), objects, pan };
}

async function drawFrame({ background, regions, ids: stuffIds, objects, pan }, size, t, light) {
  const { width, height } = size;
  const { x: left, y: top } = pan(t);
  const picture = new Picture(width, height);
  const ids = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = (y + top) * background.width + left;
    picture.rgb.set(background.rgb.subarray(3 * from, 3 * (from + width)), 3 * y * width);
    for (let x = 0; x < width; x++) ids[y * width + x] = stuffIds[regions[from + x]];
  }
  for (const { sprite, pose, move, id } of objects) {
    const moved = move(pose, t);
    const seen = { ...moved, x: moved.x - left, y: moved.y - top };
    picture.paste(sprite, seen);
    pasteSprite(sprite, seen, width, height, (at, _r, _g, _b, alpha) => {
      if (alpha >= 128) ids[at] = id;
    });
  }
  picture.photograph(light);
  return { jpeg: await picture.toJpeg(light), ids };
}
