/** Videos with the truth about every frame. */
import type { DatasetClass, Truth } from './segmentation-dataset.js';

export interface TrueVideo {
  readonly name: string;
  /** Frames in it. */
  readonly length: number;
  /** Path of a frame's image. */
  frame(index: number): string;
  /**
   * Ids are those of the things through the whole video.
   *
   * @throws LexisegError `ERR_DATA` that names the file and what is wrong in it.
   */
  truth(index: number): Promise<Truth>;
}

export interface VideoDataset {
  readonly name: string;
  readonly classes: readonly DatasetClass[];
  readonly videos: readonly TrueVideo[];
}
