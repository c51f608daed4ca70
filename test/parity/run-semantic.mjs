/**
 * Runs a bundle that proposes masks but makes no panoptic maps, on every case of a request.
 *
 *   node run-semantic.mjs REQUEST.json
 *
 * Request: {bundle, out, cases: [{raw, width, height, classes}]}; `raw` names a file of RGB bytes.
 * For case i it writes i.mask_logits.bin, i.log_probs.bin and i.labels.bin, then shapes.json.
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

const shapes = [];
for (const [index, { raw, width, height, classes }] of request.cases.entries()) {
  const image = { data: await readFile(raw), width, height, channels: 3 };
  const vocabulary = await segmenter.createVocabulary(classes);
  const proposals = await segmenter.proposeMasks(image);
  const classification = await segmenter.classifyMasks(proposals, vocabulary);
  const semantic = await segmenter.segment(proposals, vocabulary, { task: 'semantic' });
  await store(index, 'mask_logits', proposals.maskLogits.data);
  await store(index, 'log_probs', classification.logProbs.data);
  await store(index, 'labels', semantic.labelMap);
  const [maskLogits, logProbs] = [proposals.maskLogits.shape, classification.logProbs.shape];
  shapes.push({ maskLogits, logProbs });
  for (const one of [semantic, classification, proposals, vocabulary]) one.dispose();
}
await writeFile(join(request.out, 'shapes.json'), JSON.stringify(shapes));
await segmenter.dispose();
