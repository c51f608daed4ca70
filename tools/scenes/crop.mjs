/** One crop: a small picture of one class, as a mask proposal would cut it out, with captions. */
import { cropCaption } from './caption.mjs';
import { Picture } from './picture.mjs';
import { Random } from './random.mjs';
import { randomPose } from './sprite.mjs';
import { plainBackground, TEXTURE_NAMES, texture } from './texture.mjs';

/** Side of a crop, pixels. */
export const CROP_SIZE = 96;

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
 * @param {import('./sprite.mjs').SpriteCache} sprites
 * @returns {Promise<{ jpeg: Buffer, captions: string[], sceneClass: object }>}
 */
export async function drawCrop({ sprites, classes }, seed, index) {
  const random = new Random('crop', seed, index);
  const sceneClass = classOfCrop(classes, seed, index);
  const picture = new Picture(CROP_SIZE, CROP_SIZE);
  const frame = { width: CROP_SIZE, height: CROP_SIZE, zoom: random.logarithmic(0.35, 1.6) };
  if (sceneClass.thing) {
    const background = random.chance(0.75)
      ? texture(random.pick(TEXTURE_NAMES), random, frame)
      : plainBackground(random, frame);
    picture.fill(background);
    await pasteThings(random, picture, sprites, sceneClass, classes);
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

async function pasteThings(random, picture, sprites, sceneClass, classes) {
  const things = classes.filter(({ thing }) => thing);
  const neighbours = random.chance(0.35) ? random.integer(1, 2) : 0;
  for (let i = 0; i < neighbours; i++) {
    const angle = random.between(0, 2 * Math.PI);
    const size = CROP_SIZE * random.between(0.4, 0.8);
    const away = CROP_SIZE * random.between(0.5, 0.7);
    const x = CROP_SIZE / 2 + away * Math.cos(angle);
    const y = CROP_SIZE / 2 + away * Math.sin(angle);
    const sprite = await sprites.sprite(random.pick(things), random);
    picture.paste(sprite, randomPose(random, { x, y, size }));
  }
  const size = CROP_SIZE * random.between(0.5, 1.08);
  const free = Math.max(6, 0.5 * (CROP_SIZE - size));
  const x = CROP_SIZE / 2 + random.between(-free, free);
  const y = CROP_SIZE / 2 + random.between(-free, free);
  const pose = randomPose(random, { x, y, size });
  const sprite = await sprites.sprite(sceneClass, random);
  if (random.chance(0.4)) {
    picture.shadow(sprite, { ...pose, y: pose.y + 0.06 * size }, random.between(0.1, 0.5));
  }
  picture.paste(sprite, pose);
}
