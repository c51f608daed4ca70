/** The options that say how sure a mask must be. */
import type { Command } from 'commander';
import type { Thresholds } from '../index.js';
import { nonNegative, share, wholeNumber } from './bundle-option.js';

export interface ThresholdFlags {
  entropy?: number;
  objectMask?: number;
  overlap?: number;
  minScore?: number;
  topK?: number;
}

export const addThresholdOptions = (command: Command): Command =>
  command
    .option('--entropy <nats>', 'bundles without masks: most entropy of a pixel', nonNegative)
    .option('--object-mask <p>', 'panoptic: least class probability of a mask', share)
    .option('--overlap <p>', 'panoptic: least share of itself that a mask must win', share)
    .option('--min-score <p>', 'instance: least score', share)
    .option('--top-k <n>', 'instance: how many candidates', wholeNumber);

/** Those that were given; the others come from the bundle's manifest. */
export function thresholdsOf(flags: ThresholdFlags): Partial<Thresholds> {
  const { entropy, objectMask, overlap, minScore, topK } = flags;
  return {
    ...(entropy === undefined ? {} : { entropy }),
    ...(objectMask === undefined ? {} : { objectMask }),
    ...(overlap === undefined ? {} : { overlap }),
    ...(minScore === undefined ? {} : { instanceScore: minScore }),
    ...(topK === undefined ? {} : { instanceTopK: topK }),
  };
}
