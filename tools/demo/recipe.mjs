/** Every number of the demo's training, stated once. */

/** Seeds of the drawn data: what is trained on, and what is looked at while training. */
export const SEEDS = { training: 1, checking: 900_001 };

export const CROPS = { training: 145_656, checking: 4_046 };
export const SCENES = { training: 9_000, checking: 300 };

/** Contrastive training of the image and text towers: coarse pictures first, then fine ones. */
export const CLIP_PHASES = [
  {
    name: 'coarse',
    steps: 2_400,
    learningRate: 2e-3,
    schedule: { kind: 'cosine', warmUpSteps: 200, final: 0.25 },
    data: { batchSize: 192, imageSize: 64 },
  },
  {
    name: 'fine',
    steps: 1_700,
    learningRate: 8e-4,
    schedule: { kind: 'cosine', warmUpSteps: 50, final: 0.005 },
    data: { batchSize: 192, imageSize: 96 },
  },
];

export const CLIP_DATA = {
  crop: { area: [0.55, 1], aspect: [0.8, 1.25] },
  flip: 0.5,
  colorJitter: { brightness: 0.25, contrast: 0.25, saturation: 0.5, hue: 0.06 },
};

export const CLIP_TRAINER = {
  precision: 'bfloat16',
  optimizer: { kind: 'adamw', weightDecay: 0.1, betas: [0.9, 0.98], epsilon: 1e-6 },
  gradientClip: 1,
  ema: 0.995,
};
