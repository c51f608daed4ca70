/** The classes that a bundle knows, or does not know, by themselves. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluate, labelSpace, openDataset, Segmenter } from '../../lib/index.js';
import { lexiseg } from '../cli/command.js';
import { drawScenes } from '../cli/drawn-scenes.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE } from '../e2e/bundle-file.js';

let folder: string;
let segmenter: Segmenter;
beforeAll(async () => {
  folder = join(temporaryFolder(), 'scenes');
  await drawScenes(folder, 3, 2);
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
}, 120_000);
afterAll(async () => {
  await segmenter.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('labelSpace', () => {
  it('splits a data set in two, whose segments are those of the whole', async () => {
    const whole = await openDataset('coco-panoptic', folder);
    const [seen, unseen] = (['seen', 'unseen'] as const).map((group) =>
      labelSpace(segmenter, whole, group),
    ) as [ReturnType<typeof labelSpace>, ReturnType<typeof labelSpace>];
    const namesOf = ({ classes }: typeof whole) => classes.map(({ name }) => name);
    for (const { dataset, vocabulary } of [seen, unseen]) {
      expect(vocabulary.map(({ name }) => name)).toEqual(namesOf(dataset));
      expect(dataset.classes.length).toBeGreaterThan(0);
    }
    const both = [...namesOf(seen.dataset), ...namesOf(unseen.dataset)];
    expect(both.toSorted()).toEqual(namesOf(whole).toSorted());

    const named = async (dataset: typeof whole) => {
      const { ids, segments } = await dataset.truth(0);
      const nameOf = new Map(
        segments.map(({ id, classIndex }) => [id, dataset.classes[classIndex]?.name]),
      );
      return Array.from(ids, (id) => nameOf.get(id));
    };
    const [all, ofSeen, ofUnseen] = await Promise.all(
      [whole, seen.dataset, unseen.dataset].map(named),
    );
    expect(all?.every((name, at) => name === (ofSeen?.[at] ?? ofUnseen?.[at]))).toBe(true);
    expect(all?.some((_, at) => ofSeen?.[at] !== undefined && ofUnseen?.[at] !== undefined)).toBe(
      false,
    );
  });

  it('is what evaluate scores', async () => {
    const whole = await openDataset('coco-panoptic', folder);
    const { dataset, vocabulary } = labelSpace(segmenter, whole, 'unseen');
    const { groups } = await evaluate(segmenter, dataset, {
      vocabulary,
      tasks: ['semantic'],
      limit: 1,
    });
    expect(groups.all.classes).toBe(dataset.classes.length);
    expect(groups.unseen.semantic?.miou).toBe(groups.all.semantic?.miou);
    expect(groups.seen.classes).toBe(0);
  });

  it('refuses a group that has no class', async () => {
    const whole = await openDataset('coco-panoptic', folder);
    const { dataset } = labelSpace(segmenter, whole, 'seen');
    expect(() => labelSpace(segmenter, dataset, 'unseen')).toThrow(/has no unseen classes/);
    expect(() => labelSpace(segmenter, dataset, 'things' as never)).toThrow(/group/);
  });
});

describe('lexiseg eval --space', () => {
  it('scores a group by itself, and not videos', async () => {
    const data = ['--dataset', 'coco-panoptic', '--data', folder, '--task', 'semantic'];
    const options = ['--space', 'unseen', '--limit', '1', '--json'];
    const { status, stdout } = await lexiseg(['eval', TINY_BUNDLE, ...data, ...options]);
    expect(status).toBe(0);
    const { groups, vocabulary } = JSON.parse(stdout);
    expect(vocabulary).toMatch(/unseen classes$/);
    expect(groups.all.classes).toBe(groups.unseen.classes);
    const video = ['--dataset', 'vipseg', '--data', folder, '--space', 'seen'];
    const refused = await lexiseg(['eval', TINY_BUNDLE, ...video]);
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/--space is for images/);
  });
});
