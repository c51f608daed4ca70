import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  cleanClassName,
  LexisegError,
  readVocabulary,
  synonymTable,
  WordNet,
} from '../../lib/index.js';
import { lexiseg } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';

let wordNet: WordNet;
let folder: string;
beforeAll(async () => {
  folder = temporaryFolder();
  wordNet = await WordNet.open();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('WordNet', () => {
  it('has the nouns of release 3.1', () => {
    expect(wordNet.size).toBe(117_953);
    const [first] = wordNet.senses('dog');
    expect(first?.words).toEqual(['dog', 'domestic dog', 'Canis familiaris']);
    expect(first?.gloss).toMatch(/^a member of the genus Canis/);
    expect(wordNet.senses('dog')).toHaveLength(7);
    expect(wordNet.senses('wooden floor')).toEqual([]);
  });

  it.each([
    ['skis', 'ski'],
    ['People', 'people'],
    ['policemen', 'policeman'],
    ['ladies', 'lady'],
    ['boxes', 'box'],
    ['cellular telephones', 'cellular_telephone'],
    ['glass', 'glass'],
    ['no such noun', undefined],
  ])('finds %s under %s', (word, lemma) => {
    expect(wordNet.lemma(word)).toBe(lemma);
  });

  it('reads counts of words as hexadecimal, and bytes, not characters', () => {
    // A synset with more than nine words.
    const words = wordNet.senses('batch').map(({ words: own }) => own.length);
    expect(Math.max(...words)).toBeGreaterThan(15);
  });

  it('says what is wrong with a folder that is no WordNet', async () => {
    await expect(WordNet.open(join(folder, 'absent'))).rejects.toMatchObject({ code: 'ERR_DATA' });
    for (const [index, message] of [
      ['', /is empty/],
      ['dog n x\n', /no index of WordNet/],
    ] as const) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'index.noun'), index);
      writeFileSync(join(folder, 'data.noun'), '');
      await expect(WordNet.open(folder)).rejects.toThrow(message);
    }
    writeFileSync(join(folder, 'index.noun'), 'dog n 1 0 1 1 00000017\n');
    const broken = await WordNet.open(folder);
    expect(() => broken.senses('dog')).toThrow(LexisegError);
    expect(() => broken.senses('dog')).toThrow(/no sense at byte 17/);
  });
});

describe('synonymTable', () => {
  it('puts the name first and drops what stands for two classes', () => {
    const rows = synonymTable(['sea', 'ocean', 'dog'], wordNet);
    expect(rows.map(({ synonyms }) => synonyms[0])).toEqual(['sea', 'ocean', 'dog']);
    const [sea, ocean, dog] = rows;
    for (const { synonyms } of rows) expect(new Set(synonyms).size).toBe(synonyms.length);
    const common = sea?.synonyms.filter((word) => ocean?.synonyms.includes(word));
    expect(common).toEqual([]);
    expect(dog?.synonyms).toContain('domestic dog');
    expect(dog?.senses).toHaveLength(7);
  });

  it('never gives a class the name of another', () => {
    const rows = synonymTable(['carpet', 'rug'], wordNet);
    expect(rows[0]?.synonyms).not.toContain('rug');
    expect(rows[0]?.shared).toContain('rug');
    expect(rows[1]?.shared).toContain('carpet');
  });

  it('can take the most common meaning alone, and aliases for what is not there', () => {
    const [first] = synonymTable(['grass'], wordNet, { senses: 'first' });
    const [all] = synonymTable(['grass'], wordNet);
    expect(all?.synonyms).toContain('mary jane');
    expect(first?.synonyms).not.toContain('mary jane');
    const [without] = synonymTable(['hand phone'], wordNet);
    expect(without).toMatchObject({ lemma: undefined, synonyms: ['hand phone'] });
    const aliases = { 'hand phone': 'cellular_telephone' };
    const [phone] = synonymTable(['hand phone'], wordNet, { aliases });
    expect(phone?.lemma).toBe('cellular telephone');
    expect(phone?.synonyms).toContain('cellphone');
  });

  it('agrees with what the specification counts for COCO', () => {
    const file = new URL('../../models/vocabularies/coco_panoptic.json', import.meta.url);
    const names = JSON.parse(readFileSync(file, 'utf8')).classes.map(
      ({ name }: { name: string }) => name,
    );
    const [wine] = synonymTable(names, wordNet).filter(({ name }) => name === 'mountain');
    // All lemmas of all meanings, with those that other classes share.
    expect((wine?.synonyms.length ?? 0) + (wine?.shared.length ?? 0)).toBe(28);
  });

  it.each([
    ['wall-other-merged', 'wall'],
    ['sky-other', 'sky'],
    ['wall-brick', 'wall brick'],
    ['trash_can', 'trash can'],
    ['-merged', '-merged'],
  ])('reads %s as %s', (name, cleaned) => {
    expect(cleanClassName(name)).toBe(cleaned);
  });
});

describe('the aliases that come with the package', () => {
  it.each(['coco_panoptic', 'vipseg_124'])('find a noun for every class of %s', (vocabulary) => {
    const names = readVocabulary(vocabulary, 'plain').classes.map(({ name }) => name);
    const missing = synonymTable(names, wordNet).filter(({ lemma }) => lemma === undefined);
    expect(missing).toEqual([]);
  });

  it('know the names of COCO’s own JSON', () => {
    const names = ['stop sign', 'floor-wood', 'wall-tile', 'door-stuff', 'wine glass'];
    const lemmas = synonymTable(names, wordNet).map(({ lemma }) => lemma);
    expect(lemmas).toEqual(['street sign', 'parquet', 'tiling', 'door', 'wineglass']);
  });
});

describe('lexiseg synonyms', () => {
  it('writes a table for review', async () => {
    const out = join(folder, 'synonyms.json');
    const words = 'dog, zorgleblat';
    const { status, stdout } = await lexiseg(['synonyms', '-c', words, '--out', out]);
    expect({ status, stdout }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/not in WordNet: zorgleblat/);
    const { source, classes } = JSON.parse(readFileSync(out, 'utf8'));
    expect(source).toBe('WordNet 3.1');
    expect(classes[0]).toMatchObject({ name: 'dog', lemma: 'dog' });
  });

  it('refuses aliases that are no table, and no classes', async () => {
    const aliases = join(folder, 'aliases.json');
    writeFileSync(aliases, '[1]');
    const wrong = await lexiseg(['synonyms', '-c', 'dog', '--aliases', aliases]);
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toMatch(/expected \{"name": "noun"/);
    expect((await lexiseg(['synonyms'])).status).toBe(2);
  });
});
