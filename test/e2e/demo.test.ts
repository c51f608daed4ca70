/**
 * The trained bundles that come with the package still do what they did when they were made. What
 * is asked for was chosen by what they found: a guard against breaking them, no measure of their
 * quality, which the model cards have.
 */
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Segmenter, type Vocabulary } from '../../lib/index.js';

const file = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const SCENE = file('examples/scene.jpg');

/** What is in the scene, and what is not. */
const THERE = [
  'night sky',
  'curtain',
  'rhinoceros|rhino',
  'mushroom',
  'fountain',
  'luggage|suitcase',
  'pencil',
  'target',
  'eagle',
];
const ABSENT = ['cat', 'taxi', 'banana', 'snow', 'grass', 'guitar', 'rocket', 'penguin'];

/** What each finds as segments of their own. */
const FOUND = {
  'demo-fc-clip': THERE.map((words) => words.split('|')[0]),
  'demo-gkc': ['night sky', 'curtain', 'pencil', 'fountain', 'target'],
};
const BUNDLES = Object.keys(FOUND) as (keyof typeof FOUND)[];

/** A bundle with the words for the scene, there while the tests of the `describe` around it run. */
function loaded(bundle: string): { segmenter: Segmenter; vocabulary: Vocabulary } {
  const its = {} as { segmenter: Segmenter; vocabulary: Vocabulary };
  beforeAll(async () => {
    its.segmenter = await Segmenter.load(bundle, { cache: false });
    its.vocabulary = await its.segmenter.createVocabulary([...THERE, ...ABSENT]);
  });
  afterAll(async () => {
    its.vocabulary.dispose();
    await its.segmenter.dispose();
  });
  return its;
}

describe.each(BUNDLES)('%s', (shipped) => {
  const bundle = file(`models/bundles/${shipped}.pt`);
  const its = loaded(bundle);

  it('is small, trained, and says what its weights are', () => {
    expect(statSync(bundle).size).toBeLessThan(20_000_000);
    expect(its.segmenter.manifest.weights).toMatchObject({
      kind: 'trained',
      licence: 'Apache-2.0',
    });
    const names = its.segmenter.manifest.trainingClasses.map(({ name }) => name);
    expect(names).toContain('mushroom');
    // Its masks were never trained on.
    expect(names).not.toContain('rhinoceros');
  });

  it('calls backgrounds and things of a drawn scene by their names', async () => {
    using result = await its.segmenter.segment(SCENE, its.vocabulary, { task: 'semantic' });
    const shareOf = (name: string): number => {
      const area = result.segments.find(({ className }) => className === name)?.area ?? 0;
      return area / (result.width * result.height);
    };
    // A quarter of the picture is sky, and nearly half is curtain.
    expect(shareOf('night sky')).toBeGreaterThan(0.2);
    expect(shareOf('night sky')).toBeLessThan(0.35);
    expect(shareOf('curtain')).toBeGreaterThan(0.35);
    expect(shareOf('curtain')).toBeLessThan(0.5);
    for (const name of ['pencil', 'luggage', 'mushroom']) expect(shareOf(name)).toBeGreaterThan(0);
    for (const name of ABSENT) expect(shareOf(name)).toBeLessThan(0.1);
  });

  it('finds segments of their own', async () => {
    using result = await its.segmenter.segment(SCENE, its.vocabulary);
    const found = result.segments.map(({ className }) => className);
    for (const name of FOUND[shipped]) expect(found).toContain(name);
    for (const name of ABSENT) expect(found).not.toContain(name);
  });
});

describe.each([...BUNDLES, 'demo-pacl'])('%s in bfloat16', (shipped) => {
  it('gives the labels of float32', async () => {
    const labels: Int32Array[] = [];
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const options = { cache: false, dtype };
      await using segmenter = await Segmenter.load(file(`models/bundles/${shipped}.pt`), options);
      using result = await segmenter.segment(SCENE, [...THERE, ...ABSENT], { task: 'semantic' });
      labels.push(result.labelMap.slice());
    }
    const [exact, rounded] = labels as [Int32Array, Int32Array];
    const same = exact.reduce((sum, label, pixel) => sum + Number(label === rounded[pixel]), 0);
    expect(same / exact.length).toBeGreaterThan(0.98);
  });
});

describe('demo-ovseg', () => {
  const bundle = file('models/bundles/demo-ovseg.pt');
  const options = { cache: false } as const;

  it('is small, trained, and says that it proposes no masks', async () => {
    expect(statSync(bundle).size).toBeLessThan(10_000_000);
    await using segmenter = await Segmenter.load(bundle, options);
    expect(segmenter.manifest.weights).toMatchObject({ kind: 'trained', licence: 'Apache-2.0' });
    const alone = segmenter.segment(SCENE, THERE, { task: 'semantic' });
    await expect(alone).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
    await expect(alone).rejects.toThrow(/masksFrom/);
  });

  it('names the masks of another bundle', async () => {
    await using masksFrom = await Segmenter.load(file('models/bundles/demo-fc-clip.pt'), options);
    await using segmenter = await Segmenter.load(bundle, { ...options, masksFrom });
    using result = await segmenter.segment(SCENE, [...THERE, ...ABSENT], { task: 'semantic' });
    const share = Object.fromEntries(
      result.segments.map(({ className, area }) => [
        className,
        area / (result.width * result.height),
      ]),
    );
    expect(share['night sky']).toBeGreaterThan(0.2);
    expect(share.curtain).toBeGreaterThan(0.35);
    for (const name of ['pencil', 'luggage', 'mushroom']) expect(share[name]).toBeGreaterThan(0);
    for (const name of ABSENT) expect(share[name] ?? 0).toBeLessThan(0.1);
  });
});

describe('demo-pacl', () => {
  const bundle = file('models/bundles/demo-pacl.pt');
  const its = loaded(bundle);

  it('is small, trained, and asks for words as they are', () => {
    expect(statSync(bundle).size).toBeLessThan(10_000_000);
    expect(its.segmenter.manifest.weights).toMatchObject({
      kind: 'trained',
      licence: 'Apache-2.0',
    });
    expect(its.segmenter.manifest.promptTemplates).toEqual(['{}']);
  });

  it('finds backgrounds of a drawn scene, which no mask taught it', async () => {
    using result = await its.segmenter.segment(SCENE, its.vocabulary, { task: 'semantic' });
    const byArea = result.segments.toSorted((a, b) => b.area - a.area);
    const largest = byArea.slice(0, 2).map(({ className }) => className);
    expect(largest.toSorted()).toEqual(['curtain', 'night sky']);
  });

  it('draws where words are, and says how well images fit them', async () => {
    const maps = await its.segmenter.heatMaps(SCENE, its.vocabulary);
    const [sky] = maps;
    if (sky === undefined) throw new Error('a map for each word');
    expect(maps.map(({ text }) => text)).toContain('night sky');
    const half = Math.floor(sky.values.length / 2);
    const mean = (part: Float32Array): number => part.reduce((sum, x) => sum + x, 0) / part.length;
    expect(mean(sky.values.subarray(0, half))).toBeGreaterThan(mean(sky.values.subarray(half)));
    const [found] = await its.segmenter.classifyImages([SCENE], its.vocabulary);
    expect(ABSENT).not.toContain(found?.best.className);
  });
});
