/** The trained bundle that comes with the package finds by name what a drawn scene holds. */
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Segmenter, type Vocabulary } from '../../lib/index.js';

const file = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const BUNDLE = file('models/bundles/demo-fc-clip.pt');
const SCENE = file('test/fixtures/images/scene.jpg');

/** What is in the scene, and what is not. */
const THERE = [
  'night sky',
  'curtain',
  'rhinoceros|rhino',
  'mushroom',
  'fountain',
  'luggage|suitcase',
];
const ABSENT = ['cat', 'taxi', 'banana', 'snow', 'grass', 'guitar', 'rocket', 'penguin'];

let segmenter: Segmenter;
let vocabulary: Vocabulary;
beforeAll(async () => {
  segmenter = await Segmenter.load(BUNDLE, { cache: false });
  vocabulary = await segmenter.createVocabulary([...THERE, ...ABSENT]);
});
afterAll(async () => {
  vocabulary.dispose();
  await segmenter.dispose();
});

describe('the demo bundle', () => {
  it('is small, trained, and says what its weights are', () => {
    expect(statSync(BUNDLE).size).toBeLessThan(20_000_000);
    expect(segmenter.manifest.weights).toMatchObject({ kind: 'trained', licence: 'Apache-2.0' });
    const names = segmenter.manifest.trainingClasses.map(({ name }) => name);
    expect(names).toContain('mushroom');
    // Its masks were never trained on.
    expect(names).not.toContain('rhinoceros');
  });

  it('gives most of a drawn scene the names of what is there', async () => {
    using result = await segmenter.segment(SCENE, vocabulary, { task: 'semantic' });
    const there = THERE.map((one) => one.split('|')[0]);
    const pixels = result.segments
      .filter(({ className }) => there.includes(className))
      .reduce((sum, { area }) => sum + area, 0);
    expect(pixels / (result.width * result.height)).toBeGreaterThan(0.8);
  });

  it('finds things as segments of their own, one of them never seen in training', async () => {
    using result = await segmenter.segment(SCENE, vocabulary);
    const found = result.segments.map(({ className }) => className);
    expect(found).toContain('night sky');
    expect(found).toContain('rhinoceros');
  });
});
