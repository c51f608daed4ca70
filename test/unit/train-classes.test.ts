/** The words that `lexiseg train` scores by. */
import { describe, expect, it } from 'vitest';
import { byFirstName, scoredClasses, trainedClasses } from '../../lib/cli/train-classes.js';
import { classLabels } from '../../lib/data/class-labels.js';
import { readVocabulary } from '../../lib/index.js';

const dataset = (...names: string[]) => ({
  name: 'data',
  classes: names.map((name) => ({ name, synonyms: [name], thing: name !== 'sky-other' })),
});
const names = (classes: readonly { name: string }[]) => classes.map(({ name }) => name);
const data = dataset('cat', 'dog', 'sky-other');

describe('the labels of classes', () => {
  it('go by place where a data set calls several of its classes by one name', () => {
    const bags = dataset('bag', 'cat', 'bag');
    for (const last of ['bag', 'bag (2)']) {
      expect([...classLabels(bags, ['bag', 'cat', last])]).toEqual([0, 1, 2]);
    }
    expect([...classLabels(bags, ['cat', 'bag'])]).toEqual([1, 0, 1]);
    expect(() => classLabels(bags, ['cat', 'bag', 'sack'])).toThrow(/has no class sack/);
  });
});

describe('the classes of an evaluation while training', () => {
  it('are asked for by the words they were trained by', () => {
    const trained = trainedClasses(data, ['cat|kitten', 'hound', 'sky'], readVocabulary);
    const scored = scoredClasses(data, trained);
    expect(names(scored)).toEqual(['cat|kitten', 'hound', 'sky']);
    expect(scored.map(({ thing }) => thing)).toEqual([true, true, false]);
    const shuffled = scoredClasses(dataset('sky-other', 'cat'), trained);
    expect(names(shuffled)).toEqual(['sky', 'cat|kitten']);
  });

  it('are asked for by their own words where they were not trained', () => {
    const trained = trainedClasses(data, ['dog|hound', 'cat'], readVocabulary);
    expect(names(scoredClasses(data, trained))).toEqual(['cat', 'dog|hound', 'sky-other']);
    const seen = data.classes.map((one) => ({ ...one, seen: one.name === 'dog' }));
    const some = trainedClasses({ ...data, classes: seen }, undefined, readVocabulary);
    expect(names(some.vocabulary)).toEqual(['dog']);
    expect(names(scoredClasses(data, some))).toEqual(['cat', 'dog', 'sky-other']);
  });

  it('have a first word that stands for all', () => {
    const trained = trainedClasses(data, ['cat|kitten', 'hound', 'sky'], readVocabulary);
    const plain = scoredClasses(data, trained).map(byFirstName);
    expect(names(plain)).toEqual(['cat', 'hound', 'sky']);
    expect(plain.flatMap(({ synonyms }) => synonyms)).toEqual([]);
    expect(plain.map(({ thing }) => thing)).toEqual([true, true, false]);
  });

  it('keep their own words in other data, be they as many', () => {
    const trained = trainedClasses(data, ['cat|kitten', 'hound', 'sky'], readVocabulary);
    const other = scoredClasses(dataset('cat', 'bus', 'wall'), trained);
    expect(names(other)).toEqual(['cat', 'bus', 'wall']);
  });
});
