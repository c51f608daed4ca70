/** Video panoptic quality: panoptic quality of tubes over windows of frames (arXiv 2006.11339). */
import { matchSegments, PanopticQuality } from '../panoptic-quality.js';
import { type CountedFrame, Tubes } from './tubes.js';

/** Windows of `length` frames, one beginning at each frame; counts add up over windows and videos. */
export class VideoPanopticQuality {
  readonly length: number;
  readonly quality: PanopticQuality;
  #recent: CountedFrame[] = [];

  constructor(length: number, classCount: number) {
    this.length = length;
    this.quality = new PanopticQuality(classCount);
  }

  /** The next frame of the video. */
  add(frame: CountedFrame): void {
    this.#recent.push(frame);
    if (this.#recent.length < this.length) return;
    const tubes = new Tubes(this.#recent);
    this.#recent.shift();
    const classes = tubes.predicted.map(({ classIndex }) => classIndex);
    this.quality.add(matchSegments(tubes, classes, tubes.truth), classes, tubes.truth);
  }

  /** Frames that come now are of another video. */
  endVideo(): void {
    this.#recent = [];
  }
}
