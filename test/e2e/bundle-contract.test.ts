/** Bundles whose methods give other shapes than they were asked for: refused before they are read. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Segmenter, segmentVideo, type Vocabulary } from '../../lib/index.js';
import { drawScene } from '../fixtures/scene.js';
import { editBundle, TINY_BUNDLE, TINY_DENSE_BUNDLE, TINY_REGION_BUNDLE } from './bundle-file.js';

const dir = mkdtempSync(join(tmpdir(), 'lexiseg-contract-'));
let picture: Buffer;
beforeAll(async () => {
  picture = await drawScene(120, 80);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The bundle with a method that returns what `change` makes of its result's name. */
async function broken(
  bundle: string,
  method: string,
  change: (result: string) => string,
): Promise<Segmenter> {
  const ending = new RegExp(`(def ${method}\\(self:[^]*?\\n    return )(.*)\\n`);
  let found = 0;
  const path = editBundle(bundle, join(dir, `${method}.pt`), (name, text) => {
    if (!name.endsWith('.py') || !text.includes('def encode_text(self:')) return text;
    return text.replace(ending, (_, start, result) => {
      found++;
      return `${start}${change(result)}\n`;
    });
  });
  expect(found, method).toBe(1);
  return Segmenter.load(path, { cache: false });
}

const twice = (axis: number) => (tensor: string) => `torch.cat([${tensor}, ${tensor}], ${axis})`;
const less = (axis: number) => (tensor: string) => `torch.slice(${tensor}, ${axis}, 1)`;
/** A result of several tensors, with one of them changed. */
const inTuple =
  (size: number, at: number, change: (tensor: string) => string) => (result: string) => {
    const items = Array.from({ length: size }, (_, i) => `(${result})[${i}]`);
    return `(${items.map((item, i) => (i === at ? change(item) : item)).join(', ')})`;
  };

interface Case {
  readonly says: string;
  readonly bundle: string;
  readonly method: string;
  readonly change: (result: string) => string;
  readonly call: (segmenter: Segmenter, words: () => Promise<Vocabulary>) => Promise<unknown>;
}

const semantic = { task: 'semantic' } as const;
const cases: readonly Case[] = [
  {
    says: 'float32 [1, 128] for encode_text, not float32 [1, 64]',
    bundle: TINY_BUNDLE,
    method: 'encode_text',
    change: twice(1),
    call: (segmenter) => segmenter.encodeText('dog'),
  },
  {
    says: 'float32 [1, 16, 8] for classify_masks, not float32 [1, 16, 4]',
    bundle: TINY_BUNDLE,
    method: 'classify_masks',
    change: twice(2),
    call: async (segmenter, words) => segmenter.segment(picture, await words(), semantic),
  },
  {
    says: 'float32 [1, 16, 3] for classify_masks, not float32 [1, 16, 4]',
    bundle: TINY_BUNDLE,
    method: 'classify_masks',
    change: less(2),
    call: async (segmenter, words) => segmenter.segment(picture, await words()),
  },
  {
    says: 'for mask_logits, not float32 [1, Q, h, w]',
    bundle: TINY_BUNDLE,
    method: 'propose_masks',
    change: inTuple(7, 0, (tensor) => `torch.flatten(${tensor}, 2)`),
    call: (segmenter) => segmenter.proposeMasks(picture),
  },
  {
    says: 'float32 [1, 32, 64] for query_embeddings, not float32 [1, 16, C]',
    bundle: TINY_BUNDLE,
    method: 'propose_masks',
    change: inTuple(7, 6, twice(1)),
    call: (segmenter) => segmentVideo(segmenter, [picture], ['sky']).next(),
  },
  {
    says: 'for segment_dense, not float32 [1, 3, h, w]',
    bundle: TINY_DENSE_BUNDLE,
    method: 'segment_dense',
    change: inTuple(3, 0, twice(1)),
    call: async (segmenter, words) => segmenter.segment(picture, await words(), semantic),
  },
  {
    says: 'grid_area is no (top, left, height, width) in pixels: export the bundle anew',
    bundle: TINY_DENSE_BUNDLE,
    method: 'segment_dense',
    change: inTuple(3, 1, (tensor) => `torch.slice(${tensor}, 0, 0, 2)`),
    call: async (segmenter, words) => segmenter.segment(picture, await words(), semantic),
  },
  {
    says: 'for patch_similarity, not float32 [1, 4, h, w]',
    bundle: TINY_DENSE_BUNDLE,
    method: 'patch_similarity',
    change: inTuple(3, 0, less(1)),
    call: async (segmenter, words) => segmenter.heatMaps(picture, await words()),
  },
  {
    says: 'float32 [2, 6] for classify_image, not float32 [2, 3]',
    bundle: TINY_DENSE_BUNDLE,
    method: 'classify_image',
    change: twice(1),
    call: async (segmenter, words) => segmenter.classifyImages([picture, picture], await words()),
  },
  {
    says: 'for encode_patches, not float32 [1, h, w, 64]',
    bundle: TINY_DENSE_BUNDLE,
    method: 'encode_patches',
    change: inTuple(4, 1, less(2)),
    call: (segmenter) => segmenter.encodePatches(picture),
  },
  {
    says: 'float32 [2, 128] for encode_image, not float32 [2, 64]',
    bundle: TINY_DENSE_BUNDLE,
    method: 'encode_image',
    change: twice(1),
    call: (segmenter) => segmenter.encodeImages([picture, picture]),
  },
  {
    says: 'for mask_logits, not float32 [1, 16, h, w]',
    bundle: TINY_REGION_BUNDLE,
    method: 'embed_masks',
    change: inTuple(7, 0, less(1)),
    call: async (segmenter) => {
      await using proposer = await Segmenter.load(TINY_BUNDLE, { cache: false });
      using masks = await proposer.proposeMasks(picture);
      return await segmenter.embedMasks(masks);
    },
  },
];

describe('a bundle that gives', () => {
  it.each(cases)('$says is refused', async ({ says, bundle, method, change, call }) => {
    await using segmenter = await broken(bundle, method, change);
    const words = () => segmenter.createVocabulary(['sky', 'dog|puppy', 'tree']);
    await expect(call(segmenter, words)).rejects.toMatchObject({
      code: 'ERR_BUNDLE_CONTRACT',
      message: expect.stringContaining(says),
    });
  });
});
