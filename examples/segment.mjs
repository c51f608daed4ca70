// Segments a picture by words; writes an overlay, and what was found as JSON.
// Run: node segment.mjs [IMAGE] [BUNDLE]
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Segmenter } from 'lexiseg';

const scene = fileURLToPath(new URL('scene.jpg', import.meta.url));
const [image = scene, bundle = 'demo-fc-clip'] = process.argv.slice(2);

const segmenter = await Segmenter.load(bundle);
const words = ['rhinoceros|rhino', 'fountain', 'mushroom', 'luggage', 'night sky', 'curtain'];
const result = await segmenter.segment(image, words);
for (const { className, score, area, box } of result.segments) {
  console.log(className, score.toFixed(3), `${area} px`, `at ${box.x},${box.y}`);
}
await writeFile('overlay.png', await result.toOverlay());
await writeFile('result.json', JSON.stringify(result));
result.dispose();
await segmenter.dispose();
