/** One crop: a small picture of one class, as a mask proposal would cut it out, with captions. */
import { cropCaption } from './caption.mjs';
import { Picture } from './picture.mjs';
import { Random } from './random.mjs';
import { randomPose } from './sprite.mjs';
import { plainBackground, TEXTURE_NAMES, texture } from './texture.mjs';

/**
 * Classes in blocks: each block holds every class once in random order, so that neighbours in a
 * shard are different classes.
 */
export function classOfCrop(classes, seed, index) {
  const block = Math.floor(index / classes.length);
  return new Random('block', seed, block).shuffled(classes)[index % classes.length];
}

/**
 * Draws crop `index` of a seed.
 *
 * @param {{ sprites: import('./sprite.mjs').SpriteCache, classes: object[], side: number }} world
 *   `side` of the crop in pixels
 * @returns {Promise<{ jpeg: Buffer, captions: string[], sceneClass: object }>}
 */
export async function drawCrop(world, seed, index) {
  const { classes, side } = world;
  const random = new Random('crop', seed, index);
  const sceneClass = classOfCrop(classes, seed, index);
  const picture = new Picture(side, side);
  const frame = { width: side, height: side, zoom: random.logarithmic(0.35, 1.6) };
  if (sceneClass.thing) {
    const background = random.chance(0.75)
      ? texture(random.pick(TEXTURE_NAMES), random, frame)
      : plainBackground(random, frame);
    picture.fill(background);
    await pasteThings(random, picture, world, sceneClass);
  } else {
    picture.fill(texture(sceneClass.name, random, windowOf(random, frame)));
  }
  picture.photograph(random);
  const captions = [0, 1, 2].map(() => cropCaption(random, sceneClass));
  return { jpeg: await picture.toJpeg(random), captions, sceneClass };
}

/** A crop of stuff shows a part of a larger region. */
function windowOf(random, frame) {
  const scale = random.between(1, 2.5);
  return { ...frame, width: frame.width * scale, height: frame.height * scale };
}

async function pasteThings(random, picture, { sprites, classes, side }, sceneClass) {
  const things = classes.filter(({ thing }) => thing);
  const neighbours = random.chance(0.35) ? random.integer(1, 2) : 0;
  for (let i = 0; i < neighbours; i++) {
    const angle = random.between(0, 2 * Math.PI);
    const size = side * random.between(0.4, 0.8);
    const away = side * random.between(0.5, 0.7);
    const x = side / 2 + away * Math.cos(angle);
    const y = side / 2 + away * Math.sin(angle);
    const sprite = await sprites.sprite(random.pick(things), random);
    picture.paste(sprite, randomPose(random, { x, y, size }));
  }
  const size = side * random.between(0.5, 1.08);
  const free = Math.max(6, 0.5 * (side - size));
  const x = side / 2 + random.between(-free, free);
  const y = side / 2 + random.between(-free, free);
  const pose = randomPose(random, { x, y, size });
  const sprite = await sprites.sprite(sceneClass, random);
  if (random.chance(0.4)) {
    picture.shadow(sprite, { ...pose, y: pose.y + 0.06 * size }, random.between(0.1, 0.5));
  }
  picture.paste(sprite, pose);
}
