/**
 * Runs a bundle that scores places on every case of a request.
 *
 *   node run-dense.mjs REQUEST.json
 *
 * Request: {bundle, out, cases: [{raw, width, height, classes}]}; `raw` names a file of RGB bytes.
 * For case i it writes i.labels.bin, i.scores.bin, i.maps.bin (a map per class) and i.classes.bin.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Segmenter } from '../../dist/index.js';

const request = JSON.parse(await readFile(process.argv[2], 'utf8'));
const options = { device: 'cpu', dtype: 'float32', threads: 2, cache: false };
const segmenter = await Segmenter.load(request.bundle, options);

async function store(index, name, data) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  await writeFile(join(request.out, `${index}.${name}.bin`), bytes);
}

for (const [index, { raw, width, height, classes }] of request.cases.entries()) {
  const image = { data: await readFile(raw), width, height, channels: 3 };
  const vocabulary = await segmenter.createVocabulary(classes);
  const semantic = await segmenter.segment(image, vocabulary, { task: 'semantic' });
  const maps = await segmenter.heatMaps(image, vocabulary);
  const [classified] = await segmenter.classifyImages([image], vocabulary);
  await store(index, 'labels', semantic.labelMap);
  await store(index, 'scores', semantic.scoreMap);
  await store(index, 'maps', Float32Array.from(maps.flatMap(({ values }) => [...values])));
  await store(index, 'classes', classified.probabilities);
  semantic.dispose();
  vocabulary.dispose();
}
await segmenter.dispose();
