/** Zero-shot classification: the share of crops whose class the words find. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import tar from 'tar-stream';
import { CLASSES } from '../scenes/classes.mjs';

/** Crops that the generator wrote: the encoded picture and the name of its class. */
export async function* crops(folder) {
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.tar')).sort()) {
    const extract = createReadStream(join(folder, name)).pipe(tar.extract());
    let image;
    for await (const entry of extract) {
      const chunks = [];
      for await (const chunk of entry) chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      if (entry.header.name.endsWith('.jpg')) image = bytes;
      else yield { image, name: JSON.parse(bytes.toString()).class };
    }
  }
}

const dot = (a, i, b, j, size) => {
  let sum = 0;
  for (let k = 0; k < size; k++) sum += a[i * size + k] * b[j * size + k];
  return sum;
};

/**
 * Accuracy over pictures of single things, over all classes of the drawn world by their bare names.
 *
 * @param {import('../../dist/index.js').Segmenter} segmenter
 * @param {AsyncIterable<{ image: Buffer, name: string }>} pictures with the names of their classes
 * @param {object} [options]
 * @param {number} [options.limit] pictures at most
 * @param {AbortSignal} [options.signal]
 * @returns {Promise<{ top1: number, top5: number, seen: number, unseen: number, crops: number }>}
 */
export async function zeroShotAccuracy(segmenter, pictures, options = {}) {
  const { limit = Infinity, signal } = options;
  const words = await segmenter.encodeText(CLASSES.map(({ name }) => name));
  const size = segmenter.manifest.embeddingDim;
  const counts = { top1: 0, top5: 0, seen: 0, unseen: 0 };
  const totals = { seen: 0, unseen: 0 };
  let done = 0;
  let batch = [];
  const score = async () => {
    const found = await segmenter.encodeImages(
      batch.map(({ image }) => image),
      { batchSize: 64, signal },
    );
    for (const [row, { name }] of batch.entries()) {
      const truth = CLASSES.findIndex((one) => one.name === name);
      const own = dot(found.data, row, words.data, truth, size);
      let better = 0;
      for (let j = 0; j < CLASSES.length; j++) {
        if (j !== truth && dot(found.data, row, words.data, j, size) >= own) better++;
      }
      const group = CLASSES[truth].seen ? 'seen' : 'unseen';
      totals[group]++;
      if (better === 0) {
        counts.top1++;
        counts[group]++;
      }
      if (better < 5) counts.top5++;
    }
    done += batch.length;
    found.dispose();
    batch = [];
  };
  for await (const crop of pictures) {
    if (done + batch.length >= limit) break;
    batch.push(crop);
    if (batch.length === 256) await score();
  }
  if (batch.length > 0) await score();
  words.dispose();
  return {
    top1: counts.top1 / done,
    top5: counts.top5 / done,
    seen: counts.seen / totals.seen,
    unseen: counts.unseen / totals.unseen,
    crops: done,
  };
}
