/** Looks at every file of a data set and lists what is wrong. */
import { availableParallelism } from 'node:os';
import { throwIfAborted } from '../job.js';
import { type CallOptions, checkCallback, checkOptions, type Progress } from '../options.js';
import { readOne } from './annotation-file.js';
import type { DatasetKind } from './dataset-kinds.js';
import { decodedSize } from './decoded-size.js';
import { openDataset } from './open-dataset.js';
import { ProblemList } from './problem-list.js';
import { mapAhead } from './sample-stream.js';
import type { SegmentationDataset } from './segmentation-dataset.js';
import { checkTruthSize } from './truth-size.js';

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
    checkImage(dataset, index),
  );
  for await (const { present, problems } of checks) {
    throwIfAborted(signal);
    for (const problem of problems) note(problem);
    segments += present.length;
    for (const classIndex of new Set(present)) {
      counts[classIndex] = (counts[classIndex] as number) + 1;
    }
    onProgress?.({ done: ++done, total: dataset.length });
  }
  const classes = dataset.classes.map(({ name }, i) => ({ name, images: counts[i] as number }));
  return { images: dataset.length, segments, classes, problems: messages };
}

async function* indices(count: number): AsyncGenerator<number> {
  for (let index = 0; index < count; index++) yield index;
}

/** Classes of an image's segments, and everything that is wrong with the image and with its truth. */
async function checkImage(
  dataset: SegmentationDataset,
  index: number,
): Promise<{ readonly present: readonly number[]; readonly problems: readonly unknown[] }> {
  const { path } = dataset.image(index);
  const problems: unknown[] = [];
  const [size, truth] = await Promise.allSettled([
    decodedSize(path, path),
    dataset.truth(index, (problem) => problems.push(problem)),
  ]);
  for (const one of [truth, size]) if (one.status === 'rejected') problems.push(one.reason);
  if (truth.status === 'rejected') return { present: [], problems };
  const { segments } = truth.value;
  if (size.status === 'fulfilled') {
    readOne(
      () => checkTruthSize(path, size.value, truth.value),
      (problem) => problems.push(problem),
    );
  }
  return { present: segments.map(({ classIndex }) => classIndex), problems };
}
