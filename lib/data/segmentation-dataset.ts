/** Images with the truth about their segments, whatever layout they are stored in. */
import type { TrainingClass } from '../manifest.js';
import type { Task } from '../options.js';
import type { OnProblem } from './annotation-file.js';

/** A class of a data set. */
export interface DatasetClass extends TrainingClass {
  /** Whether masks of it may be trained on, where the data set says so. */
  readonly seen?: boolean | undefined;
  /** Where the data set says in how many of its training images it is. */
  readonly frequency?: ClassFrequency | undefined;
}

export type ClassFrequency = 'rare' | 'common' | 'frequent';

export interface TruthSegment {
  /** Its number in the map of ids, 1 or more. */
  readonly id: number;
  /** Index into the classes of the data set. */
  readonly classIndex: number;
  /** A region of many objects that are not told apart; neither right nor wrong to find. */
  readonly crowd: boolean;
}

/** One object, which may lie behind or in front of others. */
export interface ObjectMask {
  readonly classIndex: number;
  readonly crowd: boolean;
  /** COCO run lengths: column-major, zeros first. */
  readonly runs: Uint32Array;
  /** What decides whether it is small or large, pixels. */
  readonly area: number;
}

/** Which classes an image was searched for, beside those of its objects; of all others nobody knows. */
export interface Coverage {
  /** Indices of classes that are not there. */
  readonly absent: readonly number[];
  /** Indices of classes of which more objects are there than are marked. */
  readonly partial: readonly number[];
}

/** What is where in one image. */
export interface Truth {
  readonly width: number;
  readonly height: number;
  /** Segment id of each pixel, row-major; 0 is void: nobody says what is there. */
  readonly ids: Uint32Array;
  readonly segments: readonly TruthSegment[];
  /** Where the layout has objects that overlap: each whole. */
  readonly objects?: readonly ObjectMask[] | undefined;
  /** Where not all classes were looked for. */
  readonly coverage?: Coverage | undefined;
}

export interface SegmentationDataset {
  /** What errors and reports call it. */
  readonly name: string;
  readonly classes: readonly DatasetClass[];
  /** What its truth can score: a map of classes does not tell objects apart. */
  readonly tasks: readonly Task[];
  /** Images in it. */
  readonly length: number;
  /** A name for people and the path of an image file. */
  image(index: number): { readonly name: string; readonly path: string };
  /**
   * Classes of an image's segments that are no crowds, where the index says so and no truth has to be
   * read.
   */
  readonly classesOf?: ((index: number) => readonly number[]) | undefined;
  /**
   * @param onProblem takes what is wrong with single objects or segments, which are then left out;
   *   without it the first one throws
   * @throws LexisegError `ERR_DATA` that names the file and what is wrong in it.
   */
  truth(index: number, onProblem?: OnProblem): Promise<Truth>;
}

/** Reads the index of a layout below a folder. */
export type DatasetOpener = (
  folder: string,
  split: 'train' | 'val',
  onProblem?: OnProblem,
) => Promise<SegmentationDataset>;
