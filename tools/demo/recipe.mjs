/** Every number of the demo's training, stated once. */
import { DEFAULT_SETS } from '../scenes/icon-set.mjs';

/** Art styles of training beyond the scene generator's own three: robustness needs variety. */
const MORE_STYLES = [
  ...DEFAULT_SETS,
  '@iconify-json/noto-v1',
  '@iconify-json/emojione',
  '@iconify-json/fxemoji',
];

/**
 * A run, or a drawn set, of a share of its length: 1 is the recipe, less a trial of it. What is left is
 * enough for a batch of each.
 *
 * @template {{ steps?: number, count?: number, schedule?: { warmUpSteps: number } }} Part
 * @param {Part} part
 * @param {number} fraction over 0, at most 1
 * @returns {Part}
 */
export function shortened(part, fraction) {
  const of = (number, least) => Math.min(number, Math.max(least, Math.ceil(number * fraction)));
  const { steps, count, schedule } = part;
  return {
    ...part,
    ...(steps && { steps: of(steps, 4) }),
    ...(count && { count: of(count, part.kind === 'crops' ? 300 : 8) }),
    ...(schedule && { schedule: { ...schedule, warmUpSteps: of(schedule.warmUpSteps, 1) } }),
  };
}

/** Scenes of many things, which teach names. */
const CROWDED = { kind: 'scenes', count: 7_000, classes: 'seen', icons: MORE_STYLES, fewest: 7 };

/** What is drawn: the training data, and pictures with a seed that training never saw. */
export const DRAWN = {
  crops: { kind: 'crops', count: 145_656, seed: 1, classes: 'all' },
  'crops-styles': { kind: 'crops', count: 145_656, seed: 2, classes: 'all', icons: MORE_STYLES },
  'crops-scales': {
    kind: 'crops',
    count: 91_035,
    seed: 3,
    classes: 'all',
    icons: MORE_STYLES,
    side: 192,
  },
  'crops-check': { kind: 'crops', count: 4_046, seed: 900_001, classes: 'all' },
  scenes: { kind: 'scenes', count: 7_000, seed: 2, classes: 'seen', icons: MORE_STYLES },
  'scenes-crowded': { ...CROWDED, seed: 4 },
  'scenes-more': { ...CROWDED, seed: 6 },
  'scenes-further': { ...CROWDED, seed: 8 },
  'scenes-last': { ...CROWDED, count: 14_000, seed: 10 },
  'scenes-check': { kind: 'scenes', count: 300, seed: 900_001, classes: 'all' },
};

/** Side of crops, pixels, where a set says no other. */
export const CROP_SIDE = 96;

/** Share of icons that are drawn as their artist did; the others are restyled. */
export const PLAIN = 0.3;

/** Pictures from one more icon set, in a style that training never saw; drawn as its artist did. */
export const DRAWN_IN_ANOTHER_STYLE = {
  'crops-check-style': { kind: 'crops', count: 4_046, seed: 900_002, classes: 'all', plain: 1 },
  'scenes-check-style': { kind: 'scenes', count: 200, seed: 900_002, classes: 'all', plain: 1 },
};

/** Sizes of images on eleven canvases. */
// biome-ignore format: a line for each canvas
const SCALE_BANDS = [
  2, 3, 6,
  2, 4, 4,
  3, 3, 3,
  2, 2,
  4, 4, 4, 4,
  3, 6, 6, 3,
  4, 8, 8, 2,
  2, 3, 6,
  2, 4, 4,
  3, 3, 3,
  4, 4, 4, 4,
];

/**
 * Contrastive training of the image and text towers: coarse pictures first, then fine ones, then
 * mosaics in more styles, and of many sizes. Pooling under masks relies on these: mosaics teach dense
 * features to tell neighbours apart, and many sizes to know things however near they are. Sets drawn
 * at two sizes settle it: crops of 192 pixels alone, made small, show backgrounds finer than scenes do.
 */
export const CLIP_PHASES = [
  {
    name: 'coarse',
    crops: 'crops',
    steps: 3_600,
    learningRate: 1e-3,
    schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.35 },
    data: { batchSize: 144, imageSize: 64 },
  },
  {
    name: 'fine',
    crops: 'crops',
    steps: 3_000,
    learningRate: 8e-4,
    schedule: { kind: 'cosine', warmUpSteps: 30, final: 0.003 },
    data: { batchSize: 144, imageSize: 96 },
  },
  {
    name: 'dense',
    crops: 'crops-styles',
    steps: 2_600,
    learningRate: 6e-4,
    schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.003 },
    data: { batchSize: 144, imageSize: 384, mosaic: { bands: [4] } },
  },
  {
    name: 'scales',
    crops: 'crops-scales',
    steps: 2_400,
    learningRate: 6e-4,
    schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.003 },
    data: { batchSize: 136, imageSize: 384, mosaic: { bands: SCALE_BANDS } },
  },
  {
    name: 'settle',
    crops: ['crops-styles', 'crops-scales'],
    steps: 700,
    learningRate: 3e-4,
    schedule: { kind: 'cosine', warmUpSteps: 30, final: 0.003 },
    data: { batchSize: 136, imageSize: 384, mosaic: { bands: SCALE_BANDS } },
  },
];

export const CLIP_DATA = {
  crop: { area: [0.6, 1], aspect: [0.8, 1.25] },
  flip: 0.5,
  colorJitter: { brightness: 0.2, contrast: 0.2, saturation: 0.3, hue: 0.03 },
  pairedCaptions: true,
};

export const CLIP_TRAINER = {
  precision: 'bfloat16',
  optimizer: { kind: 'adamw', weightDecay: 0.1, betas: [0.9, 0.98], epsilon: 1e-6 },
  gradientClip: 1,
  ema: 0.995,
};

/** A phase that teaches names, on scenes of many things. */
const NAMES = {
  steps: 5_400,
  learningRate: 6e-4,
  schedule: { kind: 'cosine', warmUpSteps: 100, final: 0.01 },
  data: { batchSize: 4 },
};

/**
 * Mask training of the decoders on the frozen towers, on scenes that hold seen classes only. Masks
 * are learned sooner than names: crowded scenes show twice as many things in as many pixels, and
 * small batches make more steps of them. A look at sparse scenes settles it, and new crowded ones
 * teach more names.
 */
export const MASK_PHASES = [
  {
    name: 'sparse',
    scenes: 'scenes',
    seed: 0,
    steps: 4_000,
    learningRate: 5e-4,
    schedule: { kind: 'cosine', warmUpSteps: 100, final: 0.01 },
    data: { batchSize: 8 },
  },
  {
    name: 'crowded',
    scenes: 'scenes-crowded',
    seed: 1,
    steps: 9_000,
    learningRate: 8e-4,
    schedule: { kind: 'cosine', warmUpSteps: 100, final: 0.01 },
    data: { batchSize: 4 },
  },
  {
    name: 'settle',
    scenes: 'scenes',
    seed: 0,
    steps: 250,
    learningRate: 1e-4,
    schedule: { kind: 'cosine', warmUpSteps: 20, final: 0.01 },
    data: { batchSize: 8 },
  },
  { ...NAMES, name: 'names', scenes: 'scenes-more', seed: 2 },
  { ...NAMES, name: 'more-names', scenes: 'scenes-further', seed: 3 },
  { ...NAMES, name: 'last-names', scenes: 'scenes-last', seed: 4, steps: 10_800 },
];

export const MASK_DATA = {
  imageSize: { width: 320, height: 320 },
  scale: [1.05, 1.7],
  flip: 0.5,
  colorJitter: { brightness: 0.25, contrast: 0.25, saturation: 0.4, hue: 0.05 },
};

export const MASK_TRAINER = {
  precision: 'bfloat16',
  optimizer: { kind: 'adamw', weightDecay: 0.05 },
  gradientClip: 0.1,
  ema: 0.998,
};

/** What freezing the image tower is good for: this phase again, with the tower tuned in it. */
export const FROZEN = MASK_PHASES.find(({ name }) => name === 'settle');
export const TUNED = {
  ...FROZEN,
  name: 'tuned',
  groups: { image_tower: { frozen: false, learningRateMultiplier: 1 } },
};
