// Objects of several pictures as COCO results, with a deadline for the whole.
// Run: node coco.mjs [IMAGE…]
import { fileURLToPath } from 'node:url';
import { Segmenter } from 'lexiseg';

const images = process.argv.slice(2);
if (images.length === 0) images.push(fileURLToPath(new URL('scene.jpg', import.meta.url)));

const signal = AbortSignal.timeout(60_000);
const segmenter = await Segmenter.load('demo-fc-clip', { signal });
const vocabulary = await segmenter.createVocabulary(['rhinoceros', 'fountain', 'luggage'], {
  signal,
});
const results = await segmenter.segment(images, vocabulary, {
  task: 'instance',
  thresholds: { instanceTopK: 5 },
  signal,
});
const coco = [];
for (const [i, result] of results.entries()) {
  coco.push(...(await result.toCocoResults({ imageId: images[i], signal })));
  result.dispose();
}
console.log(JSON.stringify(coco));
vocabulary.dispose();
await segmenter.dispose();
