// The stages one by one: masks once, then two vocabularies for the same masks.
import { fileURLToPath } from 'node:url';
import { Segmenter } from 'lexiseg';

const segmenter = await Segmenter.load('demo-fc-clip', { dtype: 'float32' });
console.log(`${segmenter.label.label} on ${segmenter.info.device}: ${segmenter.info.reason}`);

const scene = fileURLToPath(new URL('scene.jpg', import.meta.url));
const proposals = await segmenter.proposeMasks(scene);
for (const words of [
  ['sky', 'ground'],
  ['car', 'house|building', 'person', 'lamp'],
]) {
  const vocabulary = await segmenter.createVocabulary(words, { templates: 'photo' });
  const map = await segmenter.segment(proposals, vocabulary, { task: 'semantic' });
  const shares = map.segments.map(
    ({ className, area }) =>
      `${className} ${((100 * area) / (map.width * map.height)).toFixed(0)}%`,
  );
  console.log(shares.join(', '));
  map.dispose();
  vocabulary.dispose();
}
proposals.dispose();
await segmenter.dispose();
