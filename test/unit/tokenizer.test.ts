/** The tokenizer against token ids that open_clip gave (fixtures/make-tokenizer.py). */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ClipTokenizer } from '../../lib/text/tokenizer.js';

const root = new URL('../../', import.meta.url);
const merges = gunzipSync(
  readFileSync(new URL('models/lexiseg_models/export/clip_bpe_merges.txt.gz', root)),
).toString('utf8');
const cases: [string, number[]][] = JSON.parse(
  readFileSync(new URL('test/fixtures/tokenizer.json', root), 'utf8'),
);
const options = {
  startId: 49406,
  endId: 49407,
  vocabSize: 49408,
  contextLength: 77,
  lowerCase: true,
};
const tokenizer = new ClipTokenizer(merges, options);

describe('ClipTokenizer', () => {
  it('gives the published token ids for every string of the fixture', () => {
    const wrong = cases.filter(([text, ids]) => tokenizer.encode(text).join() !== ids.join());
    expect(cases.length).toBeGreaterThan(400);
    expect(wrong.map(([text]) => text)).toEqual([]);
  });

  it('cuts at the context length and keeps the end token', () => {
    const ids = tokenizer.encode('cat '.repeat(200));
    expect(ids).toHaveLength(77);
    expect(ids.at(-1)).toBe(49407);
  });

  it('takes a word of 10,000 letters in well under a second', () => {
    const started = performance.now();
    tokenizer.encode('ab'.repeat(5000));
    tokenizer.encode('qzxj'.repeat(2500));
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('keeps capitals apart when the manifest says so', () => {
    const cased = new ClipTokenizer(merges, { ...options, lowerCase: false });
    expect(cased.encode('Cat')).not.toEqual(cased.encode('cat'));
    expect(tokenizer.encode('Cat')).toEqual(tokenizer.encode('cat'));
  });

  it('refuses merges that do not make the promised vocabulary', () => {
    expect(() => new ClipTokenizer('a b\n', options)).toThrow(/vocabulary of 49408/);
    const broken = merges.replace('\n', '\nno such\n').split('\n').slice(0, -2).join('\n');
    expect(() => new ClipTokenizer(`${broken}\n`, options)).toThrow(/not two known tokens/);
  });
});
