/** Classes as callers write them. */
import { describe, expect, it } from 'vitest';
import {
  type ClassInput,
  fillTemplate,
  type ParseContext,
  parseClasses,
} from '../../lib/text/classes.js';

const context: ParseContext = {
  trainingClasses: [
    { name: 'person', synonyms: ['person', 'child'], thing: true },
    { name: 'sky', synonyms: ['sky', 'clouds'], thing: false },
  ],
  bundleTemplates: ['a photo of a {}.', 'There is a {} in the scene'],
  templates: 'bundle',
  duplicates: 'refuse',
};
const parse = (classes: readonly unknown[], change: Partial<ParseContext> = {}) =>
  parseClasses(classes as ClassInput[], { ...context, ...change });
const refusal = (message: RegExp) => ({
  code: 'ERR_VOCABULARY',
  message: expect.stringMatching(message),
});

describe('parseClasses', () => {
  it('splits synonyms at "|" only, trims them, and names the class by the first', () => {
    const [cat, sofa] = parse([' cat | kitten|cat ', 'sofa, couch']);
    expect(cat).toMatchObject({ index: 0, name: 'cat', synonyms: ['cat', 'kitten'] });
    expect(sofa).toMatchObject({ index: 1, name: 'sofa, couch', synonyms: ['sofa, couch'] });
  });

  it('puts the name of an object before its synonyms', () => {
    const [parsed] = parse([{ name: 'dog', synonyms: ['puppy|pup', 'dog'], color: '#FF0000' }]);
    expect(parsed).toMatchObject({
      name: 'dog',
      synonyms: ['dog', 'puppy', 'pup'],
      color: '#ff0000',
    });
  });

  it('counts a class as seen when one synonym equals a training synonym exactly', () => {
    const seen = parse(['child', 'a|clouds', 'Clouds ahead', 'Sky', 'skyline']).map((c) => c.seen);
    expect(seen).toEqual([true, true, false, false, false]);
  });

  it('takes thing or stuff from the caller, else from training, else thing', () => {
    const things = parse(['clouds', 'child', 'teapot', { name: 'sky', thing: true }]);
    expect(things.map(({ thing }) => thing)).toEqual([false, true, true, true]);
  });

  it('refuses empty names, naming the class', () => {
    for (const name of ['', '  ', 'cat|', '|', 'a||b', '\t\n']) {
      expect(() => parse(['dog', name])).toThrow(
        expect.objectContaining(refusal(/Class 1 .*empty name/)),
      );
    }
  });

  it('refuses duplicates, naming both, unless told to keep them', () => {
    expect(() => parse(['cat', 'dog', 'Cat'])).toThrow(
      expect.objectContaining(refusal(/Classes 0 and 2 have the same name, "Cat"/)),
    );
    expect(parse(['cat', 'cat'], { duplicates: 'keep' })).toHaveLength(2);
  });

  it('refuses none, too many, and overlong names', () => {
    expect(() => parse([])).toThrow(expect.objectContaining(refusal(/at least one class/)));
    expect(() => parse(Array(70_000).fill('x'))).toThrow(
      expect.objectContaining(refusal(/70000 classes are more than/)),
    );
    expect(() => parse(['x'.repeat(10_001)])).toThrow(
      expect.objectContaining(refusal(/name of 10001 characters/)),
    );
  });

  it('takes 10,000 classes and names of 5,000 characters', () => {
    const many = parse(Array.from({ length: 10_000 }, (_, i) => `class ${i}`));
    expect(many).toHaveLength(10_000);
    expect(parse(['x'.repeat(5_000)])).toHaveLength(1);
  });

  it('refuses wrong types in the one form', () => {
    const cases: [unknown, RegExp][] = [
      [[5], /Expected a string or an object for classes\[0\] but received 5/],
      [[null], /Expected a string or an object/],
      [[{ name: 5 }], /classes\[0\]\.name/],
      [[{ name: 'a', synonyms: 'b' }], /classes\[0\]\.synonyms/],
      [[{ name: 'a', synonyms: [1] }], /a synonym of classes\[0\]/],
      [[{ name: 'a', thing: 'yes' }], /classes\[0\]\.thing/],
      [[{ name: 'a', color: 'red' }], /a colour as #rrggbb/],
      [[{ name: 'a', colour: '#ffffff' }], /did you mean "color"/],
      ['cat', /Expected an array of classes/],
    ];
    for (const [classes, message] of cases) {
      expect(() => parse(classes as unknown[])).toThrow(message);
    }
  });

  it('resolves template sets and refuses templates without a hole', () => {
    const [first, second] = parse(['a', { name: 'b', templates: ['one {}', 'one {}'] }]);
    expect(first?.templates).toEqual(context.bundleTemplates);
    expect(second?.templates).toEqual(['one {}']);
    expect(parse(['a'], { templates: 'bare' })[0]?.templates).toEqual(['{}']);
    for (const templates of [[], ['no hole'], ['x'.repeat(2000)]]) {
      expect(() => parse(['a'], { templates })).toThrow(
        expect.objectContaining({ code: 'ERR_VOCABULARY' }),
      );
    }
    expect(() => parse(['a'], { templates: 'bundel' as 'bundle' })).toThrow(/templates/);
  });

  it('fills every hole literally', () => {
    expect(fillTemplate('{} or {}', '$& $1 {x}')).toBe('$& $1 {x} or $& $1 {x}');
  });
});
