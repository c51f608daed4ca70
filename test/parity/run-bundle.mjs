/**
 * Runs a bundle through the public package on every case of a request and writes what it said.
 *
 *   node run-bundle.mjs REQUEST.json
 *
 * Request: {bundle, dtype, device, out, looseOverlap, cases: [{raw, width, height, classes}]};
 * `raw` names a file of RGB bytes. For case i it writes i.NAME.bin for each tensor and, at the end, results.json.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Segmenter } from '../../dist/index.js';

const request = JSON.parse(await readFile(process.argv[2], 'utf8'));

/** @param {{shape: readonly number[], data: ArrayBufferView}} tensor */
async function store(index, name, { shape, data }) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  await writeFile(join(request.out, `${index}.${name}.bin`), bytes);
  return { shape };
}

function segmentsOf(segmentation) {
  return segmentation.segments.map(({ id, classIndex, thing, score, area, box }) => ({
    id,
    classIndex,
    thing,
    score,
    area,
    box,
  }));
}

async function runCase(segmenter, index, { raw, width, height, classes }) {
  const image = { data: await readFile(raw), width, height, channels: 3 };
  const vocabulary = await segmenter.createVocabulary(classes);
  const proposals = await segmenter.proposeMasks(image);
  const classification = await segmenter.classifyMasks(proposals, vocabulary);
  const size = [height, width];
  const result = {
    maskLogits: await store(index, 'mask_logits', proposals.maskLogits),
    logProbs: await store(index, 'log_probs', classification.logProbs),
    seen: vocabulary.classes.map(({ seen }) => seen),
  };
  for (const semanticResize of ['masks', 'scores']) {
    const semantic = await segmenter.segment(image, vocabulary, {
      task: 'semantic',
      semanticResize,
    });
    const labels = { shape: size, data: semantic.labelMap };
    result[semanticResize] = await store(index, `labels_${semanticResize}`, labels);
    semantic.dispose();
  }
  for (const [name, overlap] of [
    ['panoptic', undefined],
    ['panoptic_loose', request.looseOverlap],
  ]) {
    const thresholds = overlap === undefined ? {} : { overlap };
    const panoptic = await segmenter.segment(image, vocabulary, { task: 'panoptic', thresholds });
    const stored = await store(index, name, { shape: size, data: panoptic.segmentMap });
    result[name] = { ...stored, segments: segmentsOf(panoptic) };
    panoptic.dispose();
  }
  const instance = await segmenter.segment(image, vocabulary, { task: 'instance' });
  result.instances = segmentsOf(instance).map((segment) => ({
    ...segment,
    counts: Array.from(instance.runLengths(segment.id)),
  }));
  instance.dispose();
  classification.dispose();
  proposals.dispose();
  return result;
}

const segmenter = await Segmenter.load(request.bundle, {
  device: request.device,
  dtype: request.dtype,
  threads: 2,
  cache: false,
});
const results = [];
for (const [index, item] of request.cases.entries()) {
  results.push(await runCase(segmenter, index, item));
}
const answer = { info: segmenter.info, label: segmenter.label, results };
await writeFile(join(request.out, 'results.json'), JSON.stringify(answer));
await segmenter.dispose();
