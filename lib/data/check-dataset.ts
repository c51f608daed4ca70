/** Looks at every file of a data set and lists what is wrong. */
import { availableParallelism } from 'node:os';
import { LexisegError } from '../errors.js';
import { throwIfAborted } from '../job.js';
import { type CallOptions, checkCallback, checkOptions, type Progress } from '../options.js';
import type { DatasetKind } from './dataset-kinds.js';
import { decodedSize } from './decoded-size.js';
import { openDataset } from './open-dataset.js';
import { ProblemList } from './problem-list.js';
import { mapAhead } from './sample-stream.js';
import type { SegmentationDataset } from './segmentation-dataset.js';

export interface DatasetCheckOptions extends CallOptions {
  readonly split?: 'train' | 'val' | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface DatasetCheck {
  readonly images: number;
  readonly segments: number;
  /** Images that hold each class, in the order of the classes. */
  readonly classes: readonly { readonly name: string; readonly images: number }[];
  /** What is wrong, each with the file and the place in it. */
  readonly problems: readonly string[];
}

/**
 * Reads every record, map and image of a data set.
 *
 * @throws LexisegError `ERR_DATA` only when there is no data set to look at.
 */
export async function checkDataset(
  kind: DatasetKind,
  folder: string,
  options: DatasetCheckOptions = {},
): Promise<DatasetCheck> {
  checkOptions(options, ['split', 'onProgress', 'signal'], 'options');
  checkCallback(options.onProgress, 'options.onProgress');
  const { split = 'val', onProgress, signal } = options;
  const { messages, note } = new ProblemList();
  const dataset = await openDataset(kind, folder, split, note);
  const counts = new Uint32Array(dataset.classes.length);
  let segments = 0;
  let done = 0;
  const checks = mapAhead(indices(dataset.length), availableParallelism(), (index) =>
    checkImage(dataset, index).catch((problem: unknown) => problem),
  );
  for await (const found of checks) {
    throwIfAborted(signal);
    if (Array.isArray(found)) {
      segments += found.length;
      for (const classIndex of new Set(found)) {
        counts[classIndex] = (counts[classIndex] as number) + 1;
      }
    } else {
      note(found);
    }
    onProgress?.({ done: ++done, total: dataset.length });
  }
  const classes = dataset.classes.map(({ name }, i) => ({ name, images: counts[i] as number }));
  return { images: dataset.length, segments, classes, problems: messages };
}

async function* indices(count: number): AsyncGenerator<number> {
  for (let index = 0; index < count; index++) yield index;
}

/** Classes of an image's segments. */
async function checkImage(dataset: SegmentationDataset, index: number): Promise<number[]> {
  const { path } = dataset.image(index);
  const [size, truth] = await Promise.all([decodedSize(path, path), dataset.truth(index)]);
  if (size.width !== truth.width || size.height !== truth.height) {
    const sizes = `${size.width} × ${size.height}, its truth ${truth.width} × ${truth.height}`;
    throw new LexisegError('ERR_DATA', `${path}: is ${sizes}`, { details: { path } });
  }
  return truth.segments.map(({ classIndex }) => classIndex);
}
