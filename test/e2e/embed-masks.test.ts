/** Masks of one bundle, named by another, with the tiny ones (random weights). */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Proposals, Segmenter } from '../../lib/index.js';
import { lexiseg } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';
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

  it('take the place of the own ones when a bundle is loaded so', async () => {
    const options = { cache: false, dtype: 'float32', ensemble: CLIP_ALONE } as const;
    const both = await Segmenter.load(TINY_REGION_BUNDLE, { ...options, masksFrom: proposer });
    try {
      using masks = await proposer.proposeMasks(picture);
      using embedded = await namer.embedMasks(masks);
      using expected = await namer.segment(embedded, SCENE_CLASSES, { task: 'semantic' });
      using found = await both.segment(picture, SCENE_CLASSES, { task: 'semantic' });
      expect(found.labelMap).toEqual(expected.labelMap);
      // Images of one size share a batch; the masks of each stay its own.
      const small = await drawScene(120, 90);
      const three = await both.segment([picture, small, picture], SCENE_CLASSES, {
        task: 'semantic',
        batchSize: 2,
      });
      expect(three.map(({ width }) => width)).toEqual([240, 120, 240]);
      expect(three[2]?.labelMap).toEqual(expected.labelMap);
      for (const one of three) one.dispose();
    } finally {
      await both.dispose();
    }
    expect(proposer.disposed).toBe(false);
    const unable = Segmenter.load(TINY_BUNDLE, { ...options, masksFrom: namer });
    await expect(unable).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
    const nothing = Segmenter.load(TINY_REGION_BUNDLE, { masksFrom: {} as Segmenter });
    await expect(nothing).rejects.toThrow(/a Segmenter/);
  });

  it('stay there while a call needs them, though their bundle is disposed', async () => {
    const masksFrom = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
    const options = { cache: false, dtype: 'float32', ensemble: CLIP_ALONE, masksFrom } as const;
    await using both = await Segmenter.load(TINY_REGION_BUNDLE, options);
    const call = both.segment([picture, picture], SCENE_CLASSES, { task: 'semantic' });
    await masksFrom.dispose();
    const found = await call;
    expect(found.map(({ width }) => width)).toEqual([240, 240]);
    for (const one of found) one.dispose();
    const later = both.segment(picture, SCENE_CLASSES, { task: 'semantic' });
    await expect(later).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  it('are named at the command line', async () => {
    const folder = temporaryFolder();
    const image = join(folder, 'scene.png');
    writeFileSync(image, picture);
    const args = ['segment', image, '-c', 'sky, dog', '-b', TINY_REGION_BUNDLE, '--no-cache'];
    const { status, stdout } = await lexiseg([...args, '--masks-from', TINY_BUNDLE, '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ task: 'semantic', width: 240, height: 160 });
    const unknown = await lexiseg([...args, '--masks-from', 'no-such-bundle']);
    expect(unknown.status).toBe(1);
    expect(unknown.stderr).toMatch(/shipped: .*\[ERR_BUNDLE_READ\]/);
    rmSync(folder, { recursive: true, force: true });
  });

  it('are one for each class at most, if asked for', async () => {
    using embedded = await namer.proposeMasks(picture);
    const options = { task: 'semantic', oneMaskAt: 0.35 } as const;
    using found = await namer.segment(embedded, SCENE_CLASSES, options);
    expect(found.segments.length).toBeLessThanOrEqual(SCENE_CLASSES.length);
    expect(found.labelMap.every((label) => label >= -1)).toBe(true);
    const wrong = namer.segment(embedded, SCENE_CLASSES, { ...options, oneMaskAt: 1 });
    await expect(wrong).rejects.toThrow(/oneMaskAt/);
    // One word by itself is as probable for every mask: the best would be any.
    const alone = namer.segment(embedded, ['dog'], options);
    await expect(alone).rejects.toMatchObject({
      code: 'ERR_VOCABULARY',
      message: expect.stringContaining('as "others"'),
    });
    using beside = await namer.segment(embedded, ['dog', 'others'], options);
    expect(beside.segments.length).toBeGreaterThan(0);
    const panoptic = proposer.segment(picture, SCENE_CLASSES, { oneMaskAt: 0.5 });
    await expect(panoptic).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
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
