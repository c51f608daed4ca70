/** The published recipes: every option in them is one that a run takes. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DATASET_KINDS } from '../../lib/data/dataset-kinds.js';
import { readVocabulary } from '../../lib/index.js';
import { TINY_BUNDLE, TINY_DENSE_BUNDLE } from '../e2e/bundle-file.js';
import { lexiseg, root } from './command.js';
import { drawScenes } from './drawn-scenes.js';
import { temporaryFolder } from './places.js';

const FOLDER = join(root, 'examples/recipes');

let folder: string;
let scenes: string;
beforeAll(async () => {
  folder = temporaryFolder();
  scenes = join(folder, 'scenes');
  await drawScenes(scenes, 4, 6);
  countAsCoco(join(scenes, 'panoptic.json'));
  // As docs/training.md makes the file that a recipe names.
  const out = join(folder, 'synonyms.json');
  expect(await lexiseg(['synonyms', 'coco_panoptic', '--out', out])).toMatchObject({ status: 0 });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Leaves as many classes as COCO's panoptic set has, so that names in its order fit. */
function countAsCoco(path: string): void {
  const { length } = readVocabulary('coco_panoptic').classes;
  const truth = JSON.parse(readFileSync(path, 'utf8'));
  truth.categories = truth.categories.slice(0, length).map((one: object, id: number) => ({
    ...one,
    id,
    name: `class ${id}`,
    seen: undefined,
  }));
  for (const { segments_info } of truth.annotations) {
    for (const segment of segments_info) segment.category_id %= length;
  }
  writeFileSync(path, JSON.stringify(truth));
}

/** The recipe on drawn scenes and a tiny bundle, small enough for a step. */
function onScenes(name: string): string {
  const recipe = JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
  const captions = 'captions' in recipe.data;
  const drawn = { dataset: 'coco-panoptic', folder: scenes };
  const data = captions
    ? { ...recipe.data, captions: join(scenes, 'captions.jsonl'), imageSize: 64 }
    : { ...recipe.data, ...drawn, imageSize: { width: 64, height: 64 } };
  const evaluate = recipe.evaluate && { evaluate: { ...recipe.evaluate, ...drawn, limit: 2 } };
  const path = join(folder, name);
  const bundle = captions ? TINY_DENSE_BUNDLE : TINY_BUNDLE;
  writeFileSync(path, JSON.stringify({ ...recipe, ...evaluate, data, bundle }));
  return path;
}

describe('recipes', () => {
  it.each(readdirSync(FOLDER))('%s takes a step', async (name) => {
    const { data, evaluate } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
    if (data.dataset !== undefined) expect(DATASET_KINDS).toContain(data.dataset);
    const out = join(folder, `run-${name}`);
    const size = ['--batch-size', '2', '--steps', '1', '--precision', 'float32'];
    const { status, stderr, stdout } = await lexiseg([
      'train',
      onScenes(name),
      ...['--out', out, '--json', ...size],
    ]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/"type":"end"/);
    if (evaluate === undefined) return;
    const events = stdout.trim().split('\n');
    const { metrics } = JSON.parse(events.find((line) => line.includes('"evaluation"')) ?? '{}');
    // By any other word than those it was trained by, a class would be an unseen one.
    const groups = Object.keys(metrics).map((figure) => figure.split(' ')[1]);
    expect(groups).toEqual(expect.arrayContaining(['all', 'seen']));
    expect(groups).not.toContain('unseen');
  });

  it('draw synonyms from WordNet', () => {
    const { vocabulary } = JSON.parse(readFileSync(join(FOLDER, 'gkc-coco.json'), 'utf8'));
    const { source, classes } = readVocabulary(join(folder, vocabulary));
    expect(source).toBe('WordNet 3.1');
    expect(classes.find(({ name }) => name === 'car')?.synonyms).toContain('automobile');
  });
});
