// Follows things through a few frames: the same thing keeps its id.
// Run: node video.mjs [IMAGE] [BUNDLE]
import { fileURLToPath } from 'node:url';
import { Segmenter, segmentVideo } from 'lexiseg';
import sharp from 'sharp';

const scene = fileURLToPath(new URL('scene.jpg', import.meta.url));
const [picture = scene, bundle = 'demo-fc-clip'] = process.argv.slice(2);
const { width, height } = await sharp(picture).metadata();

/** A camera that moves over a picture. */
async function* frames(count) {
  for (let t = 0; t < count; t++) {
    const window = { left: 4 * t, top: 2 * t, width: width - 40, height: height - 20 };
    yield await sharp(picture).extract(window).png().toBuffer();
  }
}

const segmenter = await Segmenter.load(bundle);
const words = ['night sky', 'curtain', 'pencil', 'mushroom', 'luggage|suitcase', 'rhinoceros'];
for await (const { index, segmentation } of segmentVideo(segmenter, frames(6), words)) {
  const found = segmentation.segments.map(({ id, className }) => `${className} ${id}`);
  console.log(`frame ${index}: ${found.join(', ')}`);
  segmentation.dispose();
}
await segmenter.dispose();
