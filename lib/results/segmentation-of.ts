/** What a segmentation of each task is. */
import type { InstanceSegmentation } from './instance.js';
import type { PanopticSegmentation } from './panoptic.js';
import type { SemanticSegmentation } from './semantic.js';

export interface SegmentationOf {
  semantic: SemanticSegmentation;
  panoptic: PanopticSegmentation;
  instance: InstanceSegmentation;
}
