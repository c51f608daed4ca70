/** Mask logits and class probabilities of one image → its segmentation, by task. */
import type { BundleLabel } from '../bundle.js';
import type { DecodedImage } from '../image.js';
import { runJob } from '../job.js';
import { type NativeTensor, native } from '../native.js';
import type { Size } from '../options.js';
import { type Classification, Proposals } from '../proposals.js';
import { InstanceSegmentation } from '../results/instance.js';
import { PanopticSegmentation } from '../results/panoptic.js';
import type { Segmentation } from '../results/segmentation.js';
import { semanticSegmentation } from '../results/semantic.js';
import { Tensor } from '../tensor.js';
import { Vocabulary } from '../vocabulary.js';
import type { SegmentPlan } from './segment-options.js';

export interface ComposeInput {
  readonly classification: Classification;
  readonly proposals: Proposals;
  /** Which image of the batch. */
  readonly row: number;
  readonly plan: SegmentPlan;
  readonly label: BundleLabel;
}

export async function composeSegmentation(input: ComposeInput): Promise<Segmentation> {
  const { classification, proposals, row, plan, label } = input;
  const image = Proposals.imagesOf(proposals)[row] as DecodedImage;
  const size = plan.outputSize ?? { width: image.width, height: image.height };
  const parts = {
    width: size.width,
    height: size.height,
    classes: classification.vocabulary.classes,
    bundle: label,
    image,
  };
  const { maskLogits, logProbs, geometry } = nativeInputs(input, size);
  if (plan.task === 'semantic') {
    const maps = await runJob(plan.signal, (job) =>
      native().labelMap(
        job,
        maskLogits,
        row,
        logProbs,
        geometry,
        plan.resizeScores,
        plan.oneMaskAt,
      ),
    );
    return semanticSegmentation(parts, maps, plan.signal);
  }
  const thing = Vocabulary.thingFlags(classification.vocabulary);
  const { thresholds } = plan;
  if (plan.task === 'panoptic') {
    const limits = [thresholds.objectMask, thresholds.overlap] as const;
    const result = await runJob(plan.signal, (job) =>
      native().panopticMerge(job, maskLogits, row, logProbs, geometry, thing, limits),
    );
    return new PanopticSegmentation(parts, result);
  }
  const topK = thresholds.instanceTopK;
  const result = await runJob(plan.signal, (job) =>
    native().selectInstances(job, maskLogits, row, logProbs, geometry, thing, topK),
  );
  return new InstanceSegmentation(parts, result, thresholds.instanceScore);
}

function nativeInputs(
  { classification, proposals }: ComposeInput,
  size: Size,
): {
  maskLogits: NativeTensor;
  logProbs: NativeTensor;
  geometry: ReturnType<typeof Proposals.geometryOf>;
} {
  return {
    maskLogits: Tensor.unwrap(proposals.maskLogits, 'mask_logits'),
    logProbs: Tensor.unwrap(classification.logProbs, 'log_probs'),
    geometry: Proposals.geometryOf(proposals, size),
  };
}
