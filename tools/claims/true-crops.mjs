/** Masked crops of the true segments of a data set, as mining cuts them out of proposals. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { maskedCrop } from '../../dist/mining/masked-crop.js';

/** Segments of fewer pixels show too little to be named. */
const LEAST_AREA = 400;

/**
 * @param {import('../../dist/index.js').SegmentationDataset} dataset
 * @param {(name: string) => boolean} [wanted] which classes
 * @returns {AsyncGenerator<{ image: Buffer, name: string }>}
 */
export async function* trueCrops(dataset, wanted = () => true) {
  for (let index = 0; index < dataset.length; index++) {
    const { ids, segments, width, height } = await dataset.truth(index);
    const rgb = await sharp(dataset.image(index).path).removeAlpha().raw().toBuffer();
    const size = { width, height };
    for (const { id, classIndex, crowd } of segments) {
      const { name } = dataset.classes[classIndex] ?? {};
      if (crowd || name === undefined || !wanted(name)) continue;
      const values = Float32Array.from(ids, (own) => (own === id ? 1 : -1));
      if (values.reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0) < LEAST_AREA) continue;
      const mask = { networkSize: size, validSize: size, values, ...size };
      yield { image: await maskedCrop({ rgb, ...size }, mask, 0.5), name };
    }
  }
}

/** Writes crops with their names as `pairs.tsv`, as `minePairs` does, and returns its path. */
export async function writeTruePairs(folder, crops, most) {
  const lines = [];
  for await (const { image, name } of crops) {
    if (lines.length === most) break;
    const place = join(String(Math.floor(lines.length / 1_000)), `${lines.length}.png`);
    await mkdir(dirname(join(folder, place)), { recursive: true });
    await writeFile(join(folder, place), image);
    lines.push(`${name}\t${place}\n`);
  }
  const file = join(folder, 'pairs.tsv');
  await writeFile(`${file}.part`, `title\tfilepath\n${lines.join('')}`);
  await rename(`${file}.part`, file);
  return file;
}
