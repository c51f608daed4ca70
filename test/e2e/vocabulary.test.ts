/** Vocabularies through the text tower: averages, cache, limits, hostile names. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Segmenter, type Vocabulary } from '../../lib/index.js';
import { editBundle, TINY_BUNDLE } from './bundle-file.js';

const dir = mkdtempSync(join(tmpdir(), 'lexiseg-vocabulary-'));
let segmenter: Segmenter;

beforeAll(async () => {
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
});
afterAll(async () => {
  await segmenter.dispose();
  rmSync(dir, { recursive: true, force: true });
});

const rowsOf = (vocabulary: Vocabulary): number[][] => {
  const { data, shape } = vocabulary.classEmbeddings;
  const [count = 0, dim = 0] = shape;
  const numbers = data as Float32Array;
  return Array.from({ length: count }, (_, row) => [...numbers.slice(row * dim, (row + 1) * dim)]);
};
const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(folder, name)).isFile(),
  );

describe('createVocabulary', () => {
  it('normalises, averages over templates and normalises again, one row per synonym', async () => {
    const templates = ['a photo of a {}.', 'There is a {} in the scene', '{}'];
    using vocabulary = await segmenter.createVocabulary(['cat|kitten', 'dog'], { templates });
    const rows = rowsOf(vocabulary);
    expect(rows).toHaveLength(3);
    for (const [index, name] of ['cat', 'kitten', 'dog'].entries()) {
      const prompts = templates.map((template) => template.replace('{}', name));
      using encoded = await segmenter.encodeText(prompts);
      const dim = segmenter.manifest.embeddingDim;
      const vectors = prompts.map((_, i) =>
        (encoded.data as Float32Array)
          .slice(i * dim, (i + 1) * dim)
          .map((value, _j, vector) => value / Math.hypot(...vector)),
      );
      const mean = Array.from({ length: dim }, (_, i) =>
        vectors.reduce((sum, vector) => sum + (vector[i] as number), 0),
      );
      const norm = Math.hypot(...mean);
      mean.forEach((value, i) => {
        expect(Math.abs(value / norm - (rows[index]?.[i] as number))).toBeLessThan(0.01);
      });
    }
  });

  it('computes once, then reads from disk, and computes again what is damaged', async () => {
    const cache = { dir: join(dir, 'hits') };
    const prompts: number[] = [];
    const create = async (): Promise<number[][]> => {
      await using fresh = await Segmenter.load(TINY_BUNDLE, { cache });
      using vocabulary = await fresh.createVocabulary(['cat', 'dog|puppy'], {
        onProgress: ({ total }) => prompts.push(total),
      });
      return rowsOf(vocabulary);
    };
    const first = await create();
    expect(prompts.at(-1)).toBe(3 * segmenter.manifest.promptTemplates.length);
    expect(filesIn(cache.dir)).toHaveLength(3);
    prompts.length = 0;
    expect(await create()).toEqual(first);
    expect(prompts).toEqual([]);
    for (const name of filesIn(cache.dir)) writeFileSync(join(cache.dir, name), 'nonsense');
    const again = await create();
    expect(prompts.at(-1)).toBe(3 * segmenter.manifest.promptTemplates.length);
    expect(again).toEqual(first);
  });

  describe('on disk, of bundles that promise the same weights', () => {
    /** A text tower that says the opposite, under the hash of the honest one. */
    const opposite = (path: string): string =>
      editBundle(TINY_BUNDLE, path, (name, text) =>
        name.endsWith('/text_encoder.py')
          ? text.replace(
              'torch.matmul(end, projection)',
              'torch.neg(torch.matmul(end, projection))',
            )
          : text,
      );

    /** Embeddings of a word, and how many prompts were encoded for them. */
    async function embed(
      path: string,
      options: { cache: { dir: string }; verify?: boolean },
    ): Promise<{ rows: number[][]; encoded: number }> {
      let encoded = 0;
      await using loaded = await Segmenter.load(path, options);
      using words = await loaded.createVocabulary(['Cat'], {
        onProgress: ({ total }) => {
          encoded = total;
        },
      });
      return { rows: rowsOf(words), encoded };
    }

    it('takes nothing from another file, nor from what the file was', async () => {
      const cache = { dir: join(dir, 'impostor') };
      using honest = await segmenter.createVocabulary(['Cat']);
      const path = opposite(join(dir, 'impostor.pt'));
      const wrong = await embed(path, { cache });
      expect(wrong.rows).toEqual(rowsOf(honest).map((row) => row.map((value) => -value)));
      expect((await embed(TINY_BUNDLE, { cache })).rows).toEqual(rowsOf(honest));
      copyFileSync(TINY_BUNDLE, path);
      expect((await embed(path, { cache })).rows).toEqual(rowsOf(honest));
    });

    it('finds those of a copy once the weights were compared with their hash', async () => {
      const cache = { dir: join(dir, 'copies') };
      const copy = join(dir, 'copy.pt');
      copyFileSync(TINY_BUNDLE, copy);
      const first = await embed(TINY_BUNDLE, { cache, verify: true });
      expect(await embed(copy, { cache, verify: true })).toEqual({ ...first, encoded: 0 });
      expect((await embed(copy, { cache })).encoded).toBe(first.encoded);
      // The hash is of the weights alone; what else makes the numbers counts as well.
      const otherCase = editBundle(TINY_BUNDLE, copy, (name, text) =>
        name.endsWith('manifest.json')
          ? text.replace(/"lowerCase": ?true/, '"lowerCase":false')
          : text,
      );
      const upper = await embed(otherCase, { cache, verify: true });
      expect(upper.encoded).toBe(first.encoded);
      expect(upper.rows).not.toEqual(first.rows);
    });
  });

  it('writes nothing to disk with cache: false, and keeps embeddings in memory', async () => {
    const totals: number[] = [];
    const options = { onProgress: ({ total }: { total: number }) => totals.push(total) };
    (await segmenter.createVocabulary(['a unique name'], options)).dispose();
    const encoded = totals.length;
    (await segmenter.createVocabulary(['a unique name'], options)).dispose();
    expect(encoded).toBeGreaterThan(0);
    expect(totals).toHaveLength(encoded);
  });

  it('reports progress up to the end', async () => {
    const steps: [number, number][] = [];
    const names = Array.from({ length: 60 }, (_, index) => `progress ${index}`);
    using vocabulary = await segmenter.createVocabulary(names, {
      onProgress: ({ done, total }) => steps.push([done, total]),
    });
    expect(vocabulary).toHaveLength(60);
    const total = 60 * segmenter.manifest.promptTemplates.length;
    expect(steps.at(-1)).toEqual([total, total]);
    expect(steps.length).toBeGreaterThan(1);
  });

  it('changes nothing when a synonym is repeated', async () => {
    using once = await segmenter.createVocabulary(['cat|kitten']);
    using twice = await segmenter.createVocabulary(['cat|kitten|cat| kitten ']);
    expect(rowsOf(twice)).toEqual(rowsOf(once));
  });

  it('refuses what it cannot use with ERR_VOCABULARY', async () => {
    const wrong = [[], [''], ['cat', 'cat'], ['cat|'], ['x'.repeat(10_001)]];
    for (const classes of wrong) {
      await expect(segmenter.createVocabulary(classes)).rejects.toMatchObject({
        code: 'ERR_VOCABULARY',
      });
    }
    await expect(segmenter.createVocabulary('cat' as never)).rejects.toThrow(/array of classes/);
    await expect(segmenter.createVocabulary(['a'], { template: 'bare' } as never)).rejects.toThrow(
      /did you mean "templates"/,
    );
  });

  it('takes 10,000 classes and names of 5,000 characters', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => `c${index}`);
    using vocabulary = await segmenter.createVocabulary(many, { templates: 'bare' });
    expect(vocabulary).toHaveLength(10_000);
    using long = await segmenter.createVocabulary(['x'.repeat(5000), 'ab '.repeat(1666)]);
    expect(long).toHaveLength(2);
  }, 300_000);

  it('keeps duplicates apart by index when told to', async () => {
    using vocabulary = await segmenter.createVocabulary(['bag', 'bag'], { duplicates: 'keep' });
    const [first, second] = rowsOf(vocabulary);
    expect(first).toEqual(second);
  });
});
