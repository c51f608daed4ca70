/** The strict reading of manifests, which come from files of strangers. */
import { describe, expect, it } from 'vitest';
import type { LexisegError } from '../../lib/errors.js';
import { parseManifest } from '../../lib/manifest.js';
import { sampleManifest } from '../fixtures/manifest.js';

const parse = (change: (manifest: Record<string, unknown>) => void): (() => unknown) => {
  const manifest = sampleManifest();
  change(manifest);
  return () => parseManifest(JSON.stringify(manifest));
};

const codeOf = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    return (error as LexisegError).code;
  }
  return 'none';
};

describe('parseManifest', () => {
  it('reads a manifest as the exporter writes it', () => {
    const manifest = parseManifest(JSON.stringify(sampleManifest()));
    expect(manifest.embeddingDim).toBe(768);
    expect(manifest.trainingClasses[0]).toEqual({
      name: 'person',
      synonyms: ['person', 'child'],
      thing: true,
    });
  });

  it('names the field that does not fit', () => {
    const wrong: [string, (manifest: Record<string, unknown>) => void][] = [
      ['embeddingDim', (m) => Object.assign(m, { embeddingDim: '768' })],
      ['embeddingDim', (m) => Object.assign(m, { embeddingDim: -1 })],
      ['embeddingDim', (m) => Object.assign(m, { embeddingDim: 7.5 })],
      ['tasks[0]', (m) => Object.assign(m, { tasks: ['detection'] })],
      ['methods', (m) => Object.assign(m, { methods: ['encode_image'] })],
      ['methods', (m) => Object.assign(m, { methods: ['encode_text', 'propose_masks'] })],
      ['methods', (m) => Object.assign(m, { methods: ['encode_text', 'classify_masks'] })],
      ['methods', (m) => Object.assign(m, { methods: ['encode_text', 'embed_masks'] })],
      ['proposals', (m) => Object.assign(m, { proposals: ['mask_logits'] })],
      ['promptTemplates', (m) => Object.assign(m, { promptTemplates: [] })],
      ['promptTemplates[0]', (m) => Object.assign(m, { promptTemplates: ['no hole'] })],
      [
        'trainingClasses[0].thing',
        (m) => Object.assign(m, { trainingClasses: [{ name: 'a', synonyms: [] }] }),
      ],
      ['weights.sha256', (m) => Object.assign(m.weights as object, { sha256: 'xyz' })],
      ['weights.kind', (m) => Object.assign(m.weights as object, { kind: 'guessed' })],
      [
        'tokenizer.merges',
        (m) => Object.assign(m.tokenizer as object, { merges: '../../etc/passwd' }),
      ],
      ['tokenizer.kind', (m) => Object.assign(m.tokenizer as object, { kind: 'wordpiece' })],
      ['image', (m) => Object.assign(m, { image: null })],
      ['thresholds.overlap', (m) => Object.assign(m.thresholds as object, { overlap: 2 })],
      ['manifest.surprise', (m) => Object.assign(m, { surprise: 1 })],
    ];
    for (const [field, change] of wrong) {
      const call = parse(change);
      expect(codeOf(call), field).toBe('ERR_BUNDLE_MANIFEST');
      expect(call, field).toThrow(`for ${field} `);
    }
  });

  it('refuses any single field of a wrong type with a code', () => {
    for (const key of Object.keys(sampleManifest())) {
      for (const value of [null, 1e9, 'x', [], {}, true]) {
        const call = parse((manifest) => Object.assign(manifest, { [key]: value }));
        expect(['none', 'ERR_BUNDLE_MANIFEST', 'ERR_BUNDLE_VERSION']).toContain(codeOf(call));
      }
      if (!['architecture', 'stages', 'keepFloat32', 'ensemble'].includes(key)) {
        const without = parse((manifest) => delete manifest[key]);
        expect(codeOf(without), key).toBe('ERR_BUNDLE_MANIFEST');
      }
    }
  });

  it('says which format it reads when the format is newer', () => {
    const call = parse((manifest) => Object.assign(manifest, { formatVersion: 2, news: true }));
    expect(codeOf(call)).toBe('ERR_BUNDLE_VERSION');
    expect(call).toThrow(/version 2; this package reads 1/);
  });

  it('refuses what is no JSON, no object, or far too long', () => {
    for (const text of ['', '{', 'null', '[]', '"x"', '1']) {
      expect(
        codeOf(() => parseManifest(text)),
        text,
      ).toBe('ERR_BUNDLE_MANIFEST');
    }
    const long = parse((m) => Object.assign(m, { createdBy: 'x'.repeat(20_000) }));
    expect(codeOf(long)).toBe('ERR_BUNDLE_MANIFEST');
    const many = parse((m) => Object.assign(m, { proposals: Array(1000).fill('x') }));
    expect(codeOf(many)).toBe('ERR_BUNDLE_MANIFEST');
  });

  it('is not fooled by prototype names', () => {
    const json = JSON.stringify(sampleManifest()).replace('{', '{"__proto__":{"tasks":[]},');
    expect(codeOf(() => parseManifest(json))).toBe('ERR_BUNDLE_MANIFEST');
  });
});
