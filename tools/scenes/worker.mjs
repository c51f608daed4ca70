/** A worker thread that draws scenes or crops by index and sends back encoded files. */
import { parentPort, workerData } from 'node:worker_threads';
import sharp from 'sharp';
import { CLASSES, chosenClasses, STUFF, THINGS, VIDEO_CLASSES } from './classes.mjs';
import { drawCrop } from './crop.mjs';
import { IconSet } from './icon-set.mjs';
import { drawScene } from './scene.mjs';
import { SpriteCache } from './sprite.mjs';
import { drawVideo } from './video.mjs';

const { kind, seed, icons, classes, plain, side, frames, fewest } = workerData;
// Threads come from workers: one picture per thread wastes least.
sharp.concurrency(1);
sharp.cache(false);
const sets = icons.map((place) => IconSet.load(place));
const sprites = new SpriteCache(sets, plain);
const drawable = (list) =>
  chosenClasses(classes, list).filter(
    (item) => !item.thing || sets.some((set) => set.nameOf(item) !== undefined),
  );

async function scene(index) {
  const world = { sprites, things: drawable(THINGS), stuff: drawable(STUFF), fewest };
  const drawn = await drawScene(world, seed, index);
  const { width, height, segments, ids, captions, jpeg } = drawn;
  const rgb = Buffer.alloc(3 * ids.length);
  for (let at = 0; at < ids.length; at++) rgb[3 * at] = ids[at];
  const raw = { width, height, channels: 3 };
  const png = await sharp(rgb, { raw }).png({ compressionLevel: 6 }).toBuffer();
  return { index, width, height, captions, jpeg, png, segments: segmentInfo(segments, ids, width) };
}

/** What COCO writes about each segment. */
function segmentInfo(segments, ids, width) {
  const found = segments.map(({ sceneClass }, i) => ({
    id: i + 1,
    category_id: sceneClass.id,
    iscrowd: 0,
    area: 0,
    box: [width, ids.length, -1, -1],
  }));
  for (let at = 0; at < ids.length; at++) {
    const { box } = found[ids[at] - 1];
    const x = at % width;
    const y = Math.floor(at / width);
    found[ids[at] - 1].area++;
    if (x < box[0]) box[0] = x;
    if (y < box[1]) box[1] = y;
    if (x > box[2]) box[2] = x;
    if (y > box[3]) box[3] = y;
  }
  return found.map(({ box: [x0, y0, x1, y1], ...rest }) => ({
    ...rest,
    bbox: [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
  }));
}

async function crop(index) {
  const { jpeg, captions, sceneClass } = await drawCrop(
    { sprites, classes: drawable(CLASSES), side },
    seed,
    index,
  );
  return { index, jpeg, captions, class: sceneClass.name };
}

async function video(index) {
  const world = { sprites, things: drawable(THINGS), stuff: drawable(STUFF), frames, numberOf };
  const { width, height, frames: drawn } = await drawVideo(world, seed, index);
  const written = [];
  for (const { jpeg, ids } of drawn) {
    const image = sharp(ids, { raw: { width, height, channels: 1 } }).toColourspace('grey16');
    written.push({ jpeg, png: await image.png({ compressionLevel: 6 }).toBuffer() });
  }
  return { index, frames: written };
}

const numberOf = (sceneClass) => VIDEO_CLASSES.indexOf(sceneClass) + 1;

const draw = { scenes: scene, crops: crop, videos: video }[kind];
parentPort.on('message', async (index) => {
  try {
    parentPort.postMessage(await draw(index));
  } catch (error) {
    parentPort.postMessage({ index, error: error.message });
  }
});
