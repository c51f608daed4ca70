/** Images → embeddings in the space of texts, in batches of images of equal size. */
import { checkGiven } from '../bundle-contract.js';
import { LexisegError } from '../errors.js';
import type { ImageInput } from '../image.js';
import { runJob } from '../job.js';
import type { Manifest } from '../manifest.js';
import type { NativeModel } from '../native-model.js';
import { float32OnHost } from './host-numbers.js';
import {
  type BatchPlan,
  batchesOfEqualSize,
  decodedWindows,
  type Slot,
  stackImages,
} from './image-batch.js';

/** What has an image tower. */
interface ImageTower {
  readonly model: Pick<NativeModel, 'encodeImages'>;
  readonly manifest: Manifest;
}

/**
 * float32 [N, D] row-major, unit rows, in the order of the images.
 *
 * @throws LexisegError `ERR_UNSUPPORTED` when the bundle embeds no images.
 */
export async function imageEmbeddings(
  { model, manifest }: ImageTower,
  images: readonly ImageInput[],
  plan: BatchPlan,
): Promise<Float32Array> {
  if (!manifest.methods.includes('encode_image')) {
    throw new LexisegError('ERR_UNSUPPORTED', 'The bundle embeds no whole images', {
      details: { methods: manifest.methods },
    });
  }
  const dimension = manifest.embeddingDim;
  const rows = new Float32Array(images.length * dimension);
  for await (const { slots } of decodedWindows(images, plan)) {
    for (const batch of batchesOfEqualSize(slots, plan.batchSize)) {
      const found = await encodeBatch({ model, manifest }, batch, plan.signal);
      batch.forEach(({ index }, row) => {
        rows.set(found.subarray(row * dimension, (row + 1) * dimension), index * dimension);
      });
    }
  }
  return rows;
}

async function encodeBatch(
  { model, manifest }: ImageTower,
  batch: readonly Slot[],
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const input = stackImages(batch.map(({ image }) => image));
  try {
    const encoded = await runJob(signal, (job) => model.encodeImages(job, input));
    try {
      checkGiven('encode_image', [encoded], [[batch.length, manifest.embeddingDim]]);
      return await float32OnHost(encoded, signal);
    } finally {
      encoded.dispose();
    }
  } finally {
    input.dispose();
  }
}
