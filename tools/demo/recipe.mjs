/** Every number of the demo's training, stated once. */

/** Seeds of the drawn data: what is trained on, and what is looked at while training. */
export const SEEDS = { training: 1, checking: 900_001 };

export const CROPS = { training: 145_656, checking: 4_046 };
export const SCENES = { training: 9_000, checking: 300 };

/** Contrastive training of the image and text towers: coarse pictures first, then fine ones. */
export const CLIP_PHASES = [
  {
    name: 'coarse',
    steps: 3_600,
    learningRate: 1e-3,
    schedule: { kind: 'cosine', warmUpSteps: 60, final: 0.35 },
    data: { batchSize: 144, imageSize: 64 },
  },
  {
    name: 'fine',
    steps: 3_000,
    learningRate: 8e-4,
    schedule: { kind: 'cosine', warmUpSteps: 30, final: 0.003 },
    data: { batchSize: 144, imageSize: 96 },
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

/** Mask training of the decoders on the frozen towers, on scenes that hold seen classes only. */
export const MASK_RUN = {
  steps: 4_000,
  learningRate: 4e-4,
  schedule: { kind: 'cosine', warmUpSteps: 100, final: 0.01 },
};

export const MASK_DATA = {
  batchSize: 8,
  imageSize: { width: 384, height: 384 },
  scale: [0.8, 1.3],
  flip: 0.5,
  colorJitter: { brightness: 0.25, contrast: 0.25, saturation: 0.4, hue: 0.05 },
};

export const MASK_TRAINER = {
  precision: 'bfloat16',
  optimizer: { kind: 'adamw', weightDecay: 0.05 },
  gradientClip: 0.1,
  ema: 0.998,
};
