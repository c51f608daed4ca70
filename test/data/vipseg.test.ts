/** VIPSeg's layout: what numbers stand for, and what may be wrong with a folder. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkDataset, openDataset, openVipseg } from '../../lib/index.js';
import { temporaryFolder } from '../cli/places.js';

let folder: string;
const WIDTH = 4;

async function writeFrame(name: string, values: readonly number[]): Promise<void> {
  const height = values.length / WIDTH;
  const size = { width: WIDTH, height };
  const map = sharp(Uint16Array.from(values), { raw: { ...size, channels: 1 } });
  writeFileSync(
    join(folder, 'panomasks', `${name}.png`),
    await map.toColourspace('grey16').png().toBuffer(),
  );
  const image = sharp({ create: { ...size, channels: 3, background: '#888' } });
  writeFileSync(join(folder, 'imgs', `${name}.jpg`), await image.jpeg().toBuffer());
}

beforeAll(async () => {
  folder = temporaryFolder();
  for (const place of ['imgs/street', 'panomasks/street']) {
    mkdirSync(join(folder, place), { recursive: true });
  }
  writeFileSync(join(folder, 'val.txt'), 'street\n');
  // Void, sky (28), two persons (60), and persons that nobody told apart.
  await writeFrame('street/2', [0, 29, 6101, 6102, 61, 29, 6101, 6102]);
  await writeFrame('street/10', [0, 29, 29, 6102, 61, 29, 6102, 6102]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('VIPSeg', () => {
  it('gives its frames as images, of which twelve classes are not trained on', async () => {
    const dataset = await openDataset('vipseg-frames', folder);
    expect(dataset.length).toBe(2);
    expect(dataset.image(1)).toMatchObject({ name: 'street/10.jpg' });
    const [video] = (await openVipseg(folder)).videos;
    expect(await dataset.truth(1)).toEqual(await video?.truth(1));
    const unseen = dataset.classes.filter(({ seen }) => seen === false);
    expect(unseen.filter(({ thing }) => thing)).toHaveLength(5);
    expect(unseen).toHaveLength(12);
  });

  it('has 124 classes, and ids that last', async () => {
    const { classes, videos } = await openVipseg(folder);
    expect(classes).toHaveLength(124);
    expect(classes.filter(({ thing }) => thing)).toHaveLength(58);
    expect(classes[44]).toMatchObject({ name: 'parasol', thing: true });
    expect(classes[44]?.synonyms).toContain('umbrella');
    const [video] = videos;
    expect(video).toMatchObject({ name: 'street', length: 2 });
    expect(video?.frame(1)).toMatch(/10\.jpg$/);
    const truth = await video?.truth(0);
    expect(truth?.segments).toEqual([
      { id: 29, classIndex: 28, crowd: false },
      { id: 6101, classIndex: 60, crowd: false },
      { id: 6102, classIndex: 60, crowd: false },
      { id: 61, classIndex: 60, crowd: true },
    ]);
    expect([...(truth?.ids ?? [])]).toEqual([0, 29, 6101, 6102, 61, 29, 6101, 6102]);
  });

  it('tells a number that is no class, with its file', async () => {
    await writeFrame('street/11', [0, 29, 29, 12_501, 1, 1, 1, 1]);
    const { videos } = await openVipseg(folder);
    const error = await videos[0]?.truth(2).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ERR_DATA' });
    expect((error as Error).message).toMatch(/11\.png.*12501/);
  });

  it('has its videos and numbers that are wrong listed, and the rest counted', async () => {
    writeFileSync(join(folder, 'val.txt'), '\n../elsewhere\nmissing\nstreet\n');
    const { problems, images } = await checkDataset('vipseg-frames', folder);
    expect(problems).toEqual([
      expect.stringMatching(/val\.txt:2: .*no folder of this data set/),
      expect.stringMatching(/missing: .*is not there/),
      expect.stringMatching(/11\.png: .*12501/),
    ]);
    expect(images).toBe(3);
    writeFileSync(join(folder, 'val.txt'), 'street\n');
  });

  it.each([
    ['val.txt', '../elsewhere\n', /val\.txt:1.*no folder of this data set/],
    ['val.txt', '\n', /lists no videos/],
    ['val.txt', 'missing\n', /missing.*is not there/],
    ['panoVIPSeg_categories.json', '{}', /is no list/],
    ['panoVIPSeg_categories.json', '[{"id": 5, "name": "x", "isthing": 1}]', /ids count from 0/],
  ])('refuses %s with %j', async (name, content, message) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    const error = await openVipseg(folder).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ERR_DATA' });
    expect((error as Error).message).toMatch(message);
    if (name === 'val.txt') writeFileSync(path, 'street\n');
    else rmSync(path);
  });
});
