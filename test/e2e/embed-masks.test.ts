/** Masks of one bundle, named by another, with the tiny ones (random weights). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Proposals, Segmenter } from '../../lib/index.js';
import { drawScene } from '../fixtures/scene.js';
import { SCENE_CLASSES, TINY_BUNDLE, TINY_REGION_BUNDLE } from './bundle-file.js';

const CLIP_ALONE = { alpha: 1, beta: 1 };

let namer: Segmenter;
let proposer: Segmenter;
let picture: Buffer;
beforeAll(async () => {
  namer = await Segmenter.load(TINY_REGION_BUNDLE, {
    cache: false,
    dtype: 'float32',
    ensemble: CLIP_ALONE,
  });
  proposer = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
  picture = await drawScene(240, 160);
});
afterAll(async () => {
  await namer.dispose();
  await proposer.dispose();
});

const values = (proposals: Proposals, name: string): number[] =>
  Array.from(proposals.tensor(name).data as Float32Array);

describe('masks of another bundle', () => {
  it('are embedded as the own ones are', async () => {
    using own = await namer.proposeMasks(picture);
    using again = await namer.embedMasks(own);
    for (const name of ['mask_logits', 'out_of_vocabulary_embeddings', 'mask_valid']) {
      expect(values(again, name)).toEqual(values(own, name));
    }
    expect(again.networkSize).toEqual(own.networkSize);
    expect(new Set(values(again, 'in_vocabulary_embeddings'))).toEqual(new Set([0]));
  });

  it('are cut from the image wherever their network saw it', async () => {
    // The two networks see the picture at different sizes, one with padding.
    using masks = await proposer.proposeMasks(picture);
    using embedded = await namer.embedMasks(masks);
    expect(embedded.queryCount).toBe(masks.queryCount);
    const shown = values(embedded, 'mask_valid');
    const logits = values(masks, 'mask_logits');
    const grid = logits.length / masks.queryCount;
    // A region is what is well above the threshold of 0.4; a mask far below it has none.
    for (const [query, valid] of shown.entries()) {
      const most = logits.slice(query * grid, (query + 1) * grid).reduce((a, b) => Math.max(a, b));
      if (most < -2) expect(valid).toBe(0);
    }
    expect(shown).toContain(1);
    for (const [query, valid] of shown.entries()) {
      const dim = namer.manifest.embeddingDim;
      const row = values(embedded, 'out_of_vocabulary_embeddings').slice(
        query * dim,
        (query + 1) * dim,
      );
      expect(Math.hypot(...row)).toBeCloseTo(valid, 4);
    }
  });

  it('become segmentations in the frame of the image', async () => {
    using masks = await proposer.proposeMasks(picture);
    using embedded = await namer.embedMasks(masks);
    using found = await namer.segment(embedded, SCENE_CLASSES, { task: 'semantic' });
    expect([found.width, found.height]).toEqual([240, 160]);
    expect(found.labelMap.every((label) => label < SCENE_CLASSES.length)).toBe(true);
  });

  it('are refused where they cannot be used', async () => {
    using masks = await proposer.proposeMasks(picture);
    await expect(proposer.embedMasks(masks)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
    await expect(namer.embedMasks({} as Proposals)).rejects.toThrow(/Expected Proposals/);
    // Another bundle's proposals as they are have no embeddings in this one's space.
    const classes = await namer.createVocabulary(SCENE_CLASSES);
    await expect(namer.classifyMasks(masks, classes)).rejects.toThrow(/another bundle/);
    classes.dispose();
    masks.dispose();
    await expect(namer.embedMasks(masks)).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    const stopped = { signal: AbortSignal.abort() };
    using more = await proposer.proposeMasks(picture);
    await expect(namer.embedMasks(more, stopped)).rejects.toThrow();
  });
});
