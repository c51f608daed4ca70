/** Videos with the truth about every frame. */
import { basename } from 'node:path';
import type { OnProblem } from './annotation-file.js';
import type { DatasetClass, SegmentationDataset, Truth } from './segmentation-dataset.js';

export interface TrueVideo {
  readonly name: string;
  /** Frames in it. */
  readonly length: number;
  /** Path of a frame's image. */
  frame(index: number): string;
  /**
   * Ids are those of the things through the whole video.
   *
   * @param onProblem takes what is wrong with single things, which are then left out
   * @throws LexisegError `ERR_DATA` that names the file and what is wrong in it.
   */
  truth(index: number, onProblem?: OnProblem): Promise<Truth>;
}

export interface VideoDataset {
  readonly name: string;
  readonly classes: readonly DatasetClass[];
  readonly videos: readonly TrueVideo[];
}

/** All frames of all videos as images: networks that see one at a time learn from them. */
export function framesOf({ name, classes, videos }: VideoDataset): SegmentationDataset {
  const frames = videos.flatMap((video) =>
    Array.from({ length: video.length }, (_, frame) => ({ video, frame })),
  );
  const at = (index: number) => frames[index] as (typeof frames)[number];
  return {
    name,
    classes,
    tasks: ['panoptic', 'semantic', 'instance'],
    length: frames.length,
    image: (index) => {
      const { video, frame } = at(index);
      const path = video.frame(frame);
      return { name: `${video.name}/${basename(path)}`, path };
    },
    truth: (index, onProblem) => at(index).video.truth(at(index).frame, onProblem),
  };
}
