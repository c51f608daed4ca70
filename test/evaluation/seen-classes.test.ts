/** Who says which classes were seen: the data where it does, whatever the bundle was trained on. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  evaluate,
  evaluateVideo,
  labelSpace,
  openDataset,
  openVipseg,
  Segmenter,
  type Truth,
  type VideoDataset,
  videoReportHtml,
} from '../../lib/index.js';
import { temporaryFolder } from '../cli/places.js';
import { TINY_BUNDLE } from '../e2e/bundle-file.js';
import { drawScene } from '../fixtures/scene.js';

const SIZE = { width: 96, height: 64 };
/** What every mask is enough for: random weights are sure of nothing. */
const thresholds = { objectMask: 0, overlap: 0 };

let folder: string;
let segmenter: Segmenter;
beforeAll(async () => {
  folder = temporaryFolder();
  for (const place of ['imgs/street', 'panomasks/street']) {
    mkdirSync(join(folder, place), { recursive: true });
  }
  writeFileSync(join(folder, 'val.txt'), 'street\n');
  writeFileSync(join(folder, 'imgs/street/1.jpg'), await drawScene(SIZE.width, SIZE.height));
  // Sky (28) over ice (32), which is one of the twelve.
  const values = Uint16Array.from({ length: SIZE.width * SIZE.height }, (_, at) =>
    at < (SIZE.width * SIZE.height) / 2 ? 29 : 33,
  );
  const map = sharp(values, { raw: { ...SIZE, channels: 1 } }).toColourspace('grey16');
  writeFileSync(join(folder, 'panomasks/street/1.png'), await map.png().toBuffer());
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false, dtype: 'float32' });
});
afterAll(async () => {
  await segmenter.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe("VIPSeg's split", () => {
  it('groups the scores of videos, of a bundle that was trained on other classes', async () => {
    const dataset = await openVipseg(folder);
    const known = new Set(segmenter.manifest.trainingClasses.flatMap(({ synonyms }) => synonyms));
    const trained = dataset.classes.filter(({ name, synonyms }) =>
      [name, ...synonyms].some((word) => known.has(word)),
    );
    expect(trained.length).toBeLessThan(112);
    const { groups } = await evaluateVideo(segmenter, dataset, { thresholds });
    const { all, seen, unseen } = groups;
    expect([all.classes, seen.classes, unseen.classes]).toEqual([124, 112, 12]);
    expect(unseen.miou).toBeGreaterThanOrEqual(0);
  });

  it('groups the scores of frames, and is two label spaces', async () => {
    const frames = await openDataset('vipseg-frames', folder);
    const { dataset, vocabulary } = labelSpace(segmenter, frames, 'unseen');
    expect(dataset.classes).toHaveLength(12);
    expect(labelSpace(segmenter, frames, 'seen').dataset.classes).toHaveLength(112);
    const { groups } = await evaluate(segmenter, dataset, { vocabulary, tasks: ['semantic'] });
    expect([groups.seen.classes, groups.unseen.classes]).toEqual([0, 12]);
  });
});

describe('evaluateVideo', () => {
  it('weighs classes by how often they occur, and its page says so', async () => {
    const [known] = segmenter.manifest.trainingClasses;
    const { width, height } = SIZE;
    const split = width * (height / 4);
    const truth: Truth = {
      ...SIZE,
      ids: Uint32Array.from({ length: width * height }, (_, at) => (at < split ? 1 : 2)),
      segments: [0, 1].map((classIndex) => ({ id: classIndex + 1, classIndex, crowd: false })),
    };
    const frame = join(folder, 'imgs/street/1.jpg');
    const dataset: VideoDataset = {
      name: 'two',
      classes: [
        { name: known?.name as string, synonyms: [], thing: false, seen: false },
        { name: 'a word that nobody trained on', synonyms: [], thing: false, seen: true },
      ],
      videos: [{ name: 'one', length: 1, frame: () => frame, truth: async () => truth }],
    };
    const report = await evaluateVideo(segmenter, dataset, { thresholds });
    const { all, seen, unseen } = report.groups;
    expect([seen.classes, unseen.classes]).toEqual([1, 1]);
    expect(Math.max(seen.miou, unseen.miou)).toBeGreaterThan(0);
    expect(all.miou).toBeCloseTo((seen.miou + unseen.miou) / 2, 10);
    expect(all.fwiou).toBeCloseTo((3 * seen.miou + unseen.miou) / 4, 10);
    const page = videoReportHtml(report);
    expect(page).toContain('fwIoU');
    expect(page).toContain((100 * all.fwiou).toFixed(1));
  });
});
