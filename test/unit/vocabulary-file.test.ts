/** Vocabularies that come with the package, and files of users. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LexisegError, readVocabulary, shippedVocabularies } from '../../lib/index.js';
import { parseClasses } from '../../lib/text/classes.js';
import { root } from '../cli/command.js';
import { temporaryFolder } from '../cli/places.js';

const SIZES = {
  ade20k_150: 150,
  ade20k_847: 847,
  cityscapes: 19,
  coco_panoptic: 133,
  coco_stuff_171: 171,
  lvis_1203: 1203,
  mapillary_vistas: 65,
  pascal_context_459: 459,
  pascal_context_59: 59,
  pascal_voc_20: 20,
  pascal_voc_21: 21,
  vipseg_124: 124,
};

/** A name of COCO as words: without what tells stuff from things and merged classes from finer ones. */
const wordsOf = (category: string): string =>
  category.replace(/(-(merged|other|stuff))+$/, '').replaceAll('-', ' ');

const categories = join(root, '../shared/data/coco-panoptic-sample/panoptic_coco_categories.json');
if (!existsSync(categories)) console.warn(`skipped: COCO's own names need ${categories}`);

describe('shipped vocabularies', () => {
  it('are these', () => {
    expect(shippedVocabularies()).toEqual(Object.keys(SIZES));
  });

  it.each(Object.entries(SIZES))('%s has its %i classes, with source and licence', (name, size) => {
    const engineered = readVocabulary(name);
    expect(engineered.classes).toHaveLength(size);
    expect(engineered.source).not.toBe('');
    expect(engineered.licence).toMatch(/Apache-2\.0|names are facts/);
    const plain = readVocabulary(name, 'plain');
    const renamed = plain.classes.filter((one, i) => one.name !== engineered.classes[i]?.name);
    expect(renamed).toHaveLength(['ade20k_150', 'coco_panoptic'].includes(name) ? 10 : 0);
    expect(plain.classes.every(({ synonyms }) => synonyms === undefined)).toBe(true);
    expect(plain.name).not.toBe(engineered.name);
    const isPlain = engineered.classes.every(({ synonyms }) => synonyms === undefined);
    expect(plain.wordsSha256 === engineered.wordsSha256).toBe(isPlain);
  });

  it('know things from stuff where the data set says so', () => {
    const things = (name: string): number =>
      readVocabulary(name).classes.filter(({ thing }) => thing === true).length;
    expect(things('coco_panoptic')).toBe(80);
    expect(things('coco_stuff_171')).toBe(80);
    expect(things('ade20k_150')).toBe(100);
    expect(things('cityscapes')).toBe(8);
  });

  it('are asked for by their engineered names alone, where the plain one is none of them', () => {
    const askedOf = (name: string) =>
      readVocabulary(name).classes.map((one) => [...new Set([one.name, ...(one.synonyms ?? [])])]);
    const ade = askedOf('ade20k_150');
    expect(ade.flat()).toHaveLength(402);
    const trained = new Set(askedOf('coco_panoptic').flat());
    expect(ade.filter((words) => words.some((word) => trained.has(word)))).toHaveLength(64);
    expect(ade[25]).toEqual(['house exterior']);
    expect(readVocabulary('ade20k_150', 'plain').classes[25]?.name).toBe('house');
  });

  it('have the plain names that the data set itself gives', () => {
    const plain = readVocabulary('coco_panoptic', 'plain').classes.map(({ name }) => name);
    const some = [
      ['orange', 49],
      ['remote', 65],
      ['scissors', 76],
      ['light', 92],
      ['net', 94],
      ['wall-brick', 109],
      ['door-stuff', 86],
      ['floor-other-merged', 122],
    ] as const;
    for (const [name, index] of some) expect(plain[index]).toBe(wordsOf(name));
  });

  it('are seen by plain names too where a bundle was trained by the engineered ones', () => {
    const trainingClasses = readVocabulary('coco_panoptic').classes.map((one) => ({
      name: one.name,
      synonyms: [...(one.synonyms ?? [one.name])],
      thing: one.thing === true,
    }));
    const asked = readVocabulary('coco_panoptic', 'plain').classes;
    const context = { bundleTemplates: ['{}'], templates: 'bundle', duplicates: 'refuse' } as const;
    const parsed = parseClasses(asked, { ...context, trainingClasses });
    expect(parsed.filter(({ seen }) => !seen)).toEqual([]);
    // So are the classes of other data sets.
    for (const name of ['ade20k_150', 'ade20k_847', 'cityscapes', 'pascal_voc_20']) {
      const [engineered = [], plain = []] = (['engineered', 'plain'] as const).map((names) =>
        parseClasses(readVocabulary(name, names).classes, {
          ...context,
          duplicates: 'keep',
          trainingClasses,
        }),
      );
      const seen = engineered.flatMap((one, index) => (one.seen ? [index] : []));
      expect(seen.length).toBeGreaterThan(10);
      expect(seen.filter((index) => !plain[index]?.seen)).toEqual([]);
    }
    expect(parsed[49]?.synonyms).toEqual(['orange']);
    expect(parsed.filter(({ thing }) => thing)).toHaveLength(80);
  });

  it.skipIf(!existsSync(categories))('have all 133 of COCO', () => {
    const own = JSON.parse(readFileSync(categories, 'utf8')) as { name: string }[];
    const plain = readVocabulary('coco_panoptic', 'plain').classes.map(({ name }) => name);
    expect(plain).toEqual(own.map(({ name }) => wordsOf(name)));
  });

  it('have many words for a background', () => {
    const [background] = readVocabulary('pascal_voc_21').classes;
    expect(background?.synonyms?.length).toBeGreaterThan(50);
  });
});

describe("a user's vocabulary", () => {
  let folder: string;
  beforeAll(() => {
    folder = temporaryFolder();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is read from a file of the same form', () => {
    const path = join(folder, 'own.json');
    const classes = [{ name: 'cat', synonyms: ['cat', 'kitten'], thing: true }];
    writeFileSync(path, JSON.stringify({ name: 'pets', classes }));
    expect(readVocabulary(path)).toMatchObject({ name: 'pets (engineered names)', classes });
  });

  const broken: [what: string, content: string, message: RegExp][] = [
    ['no JSON', '{', /Cannot read the vocabulary/],
    ['no classes', '{}', /has no "classes"/],
    ['a class without a name', '{"classes":[{}]}', /class 0 has no name/],
    [
      'synonyms that are no list',
      '{"classes":[{"name":"a","synonyms":"b"}]}',
      /synonyms of class 0/,
    ],
  ];
  it.each(broken)('is refused with %s', (_, content, message) => {
    const path = join(folder, 'broken.json');
    writeFileSync(path, content);
    const read = () => readVocabulary(path);
    expect(read).toThrow(message);
    expect(read).toThrow(LexisegError);
  });

  it('is looked for among the shipped ones by name', () => {
    expect(() => readVocabulary('coco_panoptc')).toThrow(/shipped: ade20k_150/);
  });
});
