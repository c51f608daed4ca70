/** The published recipes: every option in them is one that a run takes. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DATASET_KINDS } from '../../lib/data/dataset-kinds.js';
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
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The recipe on drawn scenes and a tiny bundle, small enough for a step. */
function onScenes(name: string): string {
  const recipe = JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
  const captions = 'captions' in recipe.data;
  const drawn = { dataset: 'coco-panoptic', folder: scenes };
  const data = captions
    ? { ...recipe.data, captions: join(scenes, 'captions.jsonl'), imageSize: 64 }
    : { ...recipe.data, ...drawn, imageSize: { width: 64, height: 64 } };
  const { vocabulary: _, evaluate: __, ...rest } = recipe;
  const path = join(folder, name);
  const bundle = captions ? TINY_DENSE_BUNDLE : TINY_BUNDLE;
  writeFileSync(path, JSON.stringify({ ...rest, data, bundle }));
  return path;
}

describe('recipes', () => {
  it.each(readdirSync(FOLDER))('%s takes a step', async (name) => {
    const { dataset } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8')).data;
    if (dataset !== undefined) expect(DATASET_KINDS).toContain(dataset);
    const out = join(folder, `run-${name}`);
    const size = ['--batch-size', '2', '--steps', '1', '--precision', 'float32'];
    const { status, stderr, stdout } = await lexiseg([
      'train',
      onScenes(name),
      ...['--out', out, '--json', ...size],
    ]);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toMatch(/"type":"end"/);
  });
});
