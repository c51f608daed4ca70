/** Evaluation with the tiny bundle (random weights): what a data set that is not whole does to it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  evaluate,
  evaluatePatches,
  openDataset,
  readVocabulary,
  reportHtml,
  reportPictures,
  type SegmentationDataset,
  Segmenter,
} from '../../lib/index.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';
import { drawScene } from '../fixtures/scene.js';
import { TINY_BUNDLE, TINY_DENSE_BUNDLE } from './bundle-file.js';

let folder: string;
let segmenter: Segmenter;
beforeAll(async () => {
  folder = temporaryFolder();
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
});
afterAll(async () => {
  await segmenter.dispose();
  rmSync(folder, { recursive: true, force: true });
});

it('refuses a data set whose first map is missing, and leaves the process alive', async () => {
  const image = { id: 1, file_name: 'a.png', width: 240, height: 160 };
  const annotation = { image_id: 1, file_name: 'missing.png', segments_info: [] };
  const categories = [{ id: 7, name: 'sky', isthing: 0 }];
  const json = { images: [image], categories, annotations: [annotation] };
  writeFiles(folder, { 'panoptic.json': JSON.stringify(json) });
  for (const name of ['images', 'panoptic']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'images/a.png'), await drawScene(240, 160));
  const unhandled: unknown[] = [];
  const note = (reason: unknown): number => unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const dataset = await openDataset('coco-panoptic', folder);
    await expect(evaluate(segmenter, dataset)).rejects.toMatchObject({
      code: 'ERR_DATA',
      message: expect.stringContaining('missing.png'),
    });
    expect(unhandled).toEqual([]);
  } finally {
    process.off('unhandledRejection', note);
  }
});

/** One picture that is sky all over, turned by its EXIF as `orientation` says. */
async function allSky(name: string, orientation = 1): Promise<SegmentationDataset> {
  const place = join(folder, name);
  for (const part of ['images', 'panoptic']) mkdirSync(join(place, part), { recursive: true });
  const scene = sharp(await drawScene(240, 160)).withMetadata({ orientation });
  await scene.jpeg().toFile(join(place, 'images/a.jpg'));
  const map = { create: { width: 240, height: 160, channels: 3, background: '#010000' } } as const;
  await sharp(map).png().toFile(join(place, 'panoptic/a.png'));
  const segments_info = [{ id: 1, category_id: 7, iscrowd: 0 }];
  const json = {
    images: [{ id: 1, file_name: 'a.jpg', width: 240, height: 160 }],
    categories: [{ id: 7, name: 'sky', isthing: 0 }],
    annotations: [{ image_id: 1, file_name: 'a.png', segments_info }],
  };
  writeFiles(place, { 'panoptic.json': JSON.stringify(json) });
  return openDataset('coco-panoptic', place);
}

it('refuses an image that its EXIF turns while its map stays', async () => {
  const dataset = await allSky('turned', 6);
  const refusal = {
    code: 'ERR_DATA',
    message: expect.stringMatching(/a\.jpg: is 160 × 240, its truth 240 × 160/),
  };
  await expect(evaluate(segmenter, dataset)).rejects.toMatchObject(refusal);
  await using dense = await Segmenter.load(TINY_DENSE_BUNDLE, { cache: false });
  await expect(evaluate(dense, dataset)).rejects.toMatchObject(refusal);
  await expect(evaluatePatches(dense, dataset)).rejects.toMatchObject(refusal);
});

it('names the vocabulary by its words, and says that the weights are random', async () => {
  const dataset = await allSky('words');
  const path = join(folder, 'words.json');
  const version = async (classes: object[]): Promise<string> => {
    writeFileSync(path, JSON.stringify({ classes }));
    const vocabulary = readVocabulary(path);
    const { classes: words, name } = vocabulary;
    const options = { tasks: ['semantic'], vocabulary: words, vocabularyName: name } as const;
    const report = await evaluate(segmenter, dataset, options);
    expect(report.vocabulary).toBe(name);
    expect(report.weights).toMatch(/random/);
    expect(report.wordsSha256).toBe(vocabulary.wordsSha256);
    return report.wordsSha256;
  };
  const first = await version([{ name: 'sky', synonyms: ['sky', 'clouds'] }]);
  expect(first).toMatch(/^[0-9a-f]{64}$/);
  expect(await version([{ name: 'sky', synonyms: ['clouds'], thing: false }])).toBe(first);
  expect(await version([{ name: 'sky', synonyms: ['cloud'] }])).not.toBe(first);
});

it('scores objects by boundaries as well, and refuses that for maps of classes alone', async () => {
  const dataset = await allSky('boundaries');
  const { groups } = await evaluate(segmenter, dataset, { tasks: ['instance'], boundary: true });
  expect(groups.all).toHaveProperty('boundaryInstance.ap');
  const semantic = evaluate(segmenter, dataset, { tasks: ['semantic'], boundary: true });
  await expect(semantic).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
});

it('shows the worst images where only objects are known', async () => {
  const place = join(folder, 'objects');
  mkdirSync(join(place, 'images'), { recursive: true });
  const names = ['a.png', 'b.png'];
  for (const name of names) writeFileSync(join(place, 'images', name), await drawScene(96, 64));
  const segmentation = [[10, 10, 50, 10, 50, 40, 10, 40]];
  const json = {
    images: names.map((file_name, id) => ({ id, file_name, width: 96, height: 64 })),
    categories: [{ id: 1, name: 'tree' }],
    annotations: [{ id: 1, image_id: 0, category_id: 1, segmentation, iscrowd: 0 }],
  };
  writeFiles(place, { 'instances.json': JSON.stringify(json) });
  const dataset = await openDataset('coco-instance', place);
  const report = await evaluate(segmenter, dataset);
  // Nothing is there to find in the second.
  expect(report.worst.map(({ image }) => image)).toEqual(names);
  expect(report.worst[1]?.score).toBe(1);
  const pictures = await reportPictures(segmenter, dataset, report);
  const page = reportHtml(report, pictures);
  expect(page).toMatch(/a\.png: F1 \d/);
  expect(page).toMatch(/thing, (un)?seen/);
});
