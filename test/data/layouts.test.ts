/** Every layout of segmentation data, written small, read back, and broken. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkDataset, type DatasetKind, LexisegError, openDataset } from '../../lib/index.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';

let root: string;
beforeEach(() => {
  root = temporaryFolder();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const WIDTH = 6;
const HEIGHT = 4;

async function photograph(name: string, size = { width: WIDTH, height: HEIGHT }): Promise<void> {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  await sharp({ create: { ...size, channels: 3, background: '#88aa44' } }).toFile(path);
}

/** Writes values of one channel, 8 or 16 bits, or three. */
async function map(name: string, values: ArrayLike<number>, kind: 'byte' | 'word' | 'rgb') {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  const raw = { width: WIDTH, height: HEIGHT, channels: 1 as 1 | 3 };
  if (kind === 'word') {
    const words = Uint16Array.from(values);
    const image = sharp(words, { raw }).toColourspace('grey16');
    await (name.endsWith('.tif') ? image.tiff({ compression: 'lzw' }) : image).toFile(path);
  } else if (kind === 'byte') {
    await sharp(Uint8Array.from(values), { raw }).toColourspace('b-w').toFile(path);
  } else {
    const bytes = Uint8Array.from(
      { length: 3 * values.length },
      (_, i) => (values[Math.floor(i / 3)] as number) >> (8 * (i % 3)),
    );
    await sharp(bytes, { raw: { ...raw, channels: 3 } }).toFile(path);
  }
}

/** Left half a, right half b. */
const halves = (a: number, b: number): number[] =>
  Array.from({ length: WIDTH * HEIGHT }, (_, at) => (at % WIDTH < WIDTH / 2 ? a : b));

async function errorOf(work: Promise<unknown>): Promise<LexisegError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LexisegError);
  return error as LexisegError;
}

const namesIn = async (kind: DatasetKind, split: 'train' | 'val' = 'val') => {
  const dataset = await openDataset(kind, root, split);
  const truth = await dataset.truth(0);
  const at = (index: number) => {
    const segment = truth.segments.find(({ id }) => id === truth.ids[index]);
    return segment === undefined ? 'void' : dataset.classes[segment.classIndex]?.name;
  };
  return { dataset, truth, left: at(0), right: at(WIDTH - 1) };
};

describe('maps of classes', () => {
  it('reads the 150 classes of ADE20K from 1, and 0 as void', async () => {
    await photograph('images/validation/a.jpg');
    await map('annotations/validation/a.png', halves(0, 150), 'byte');
    const { left, right, dataset } = await namesIn('ade20k-150');
    expect([left, right]).toEqual(['void', 'flag']);
    expect(dataset.tasks).toEqual(['semantic']);
  });

  it('reads the 847 classes of ADE20K from 0 in 16 bits', async () => {
    await photograph('images_detectron2/training/a.jpg');
    await map('annotations_detectron2/training/a.tif', halves(846, 65_535), 'word');
    const { left, right } = await namesIn('ade20k-847', 'train');
    expect([left, right]).toEqual(['adding machine', 'void']);
  });

  it("reads Pascal VOC's palette images, with the background or without", async () => {
    await photograph('VOC2012/JPEGImages/2007_000033.jpg');
    writeFiles(root, { 'VOC2012/ImageSets/Segmentation/val.txt': '2007_000033\n' });
    // Entries 0 … 3 of the standard colour map; a palette keeps neither order nor numbers.
    const colours = [0, 128, 128 << 8, 128 + (128 << 8)];
    await map('grid.png', halves(colours[0] as number, colours[1] as number), 'rgb');
    mkdirSync(join(root, 'VOC2012/SegmentationClass'));
    await sharp(join(root, 'grid.png'))
      .png({ palette: true, dither: 0 })
      .toFile(join(root, 'VOC2012/SegmentationClass/2007_000033.png'));
    const { dataset, truth } = await namesIn('voc-21');
    expect(dataset.classes.map(({ name }) => name).slice(0, 2)).toEqual([
      'background',
      'aeroplane',
    ]);
    expect(truth.segments.map(({ classIndex }) => classIndex).sort()).toEqual([0, 1]);
    const without = await namesIn('voc-20');
    expect([without.left, without.right].filter((name) => name === 'void')).toHaveLength(1);
  });

  it('reads the 59 and 459 classes of Pascal Context from 0, and the largest number as void', async () => {
    await photograph('images/validation/a.jpg');
    await map('annotations_ctx59/validation/a.png', halves(0, 255), 'byte');
    await map('annotations_ctx459/validation/a.tif', halves(458, 65_535), 'word');
    expect(await namesIn('context-59')).toMatchObject({ left: 'aeroplane', right: 'void' });
    expect(await namesIn('context-459')).toMatchObject({ left: 'wool', right: 'void' });
  });

  it("closes up the gaps in COCO-Stuff's labels, and takes maps without any as they are", async () => {
    await photograph('val2017/a.jpg');
    await map('stuffthingmaps/val2017/a.png', halves(12, 181), 'byte');
    expect(await namesIn('coco-stuff')).toMatchObject({ left: 'stop sign', right: 'wood' });
    await map('stuffthingmaps/val2017/a.png', halves(11, 255), 'byte');
    expect(await namesIn('coco-stuff')).toMatchObject({ left: 'void', right: 'void' });
    await map('stuffthingmaps_detectron2/val2017/a.png', halves(170, 80), 'byte');
    expect(await namesIn('coco-stuff')).toMatchObject({ left: 'wood', right: 'banner' });
  });

  it('tells the objects of Cityscapes apart, and takes a group as a crowd', async () => {
    await photograph('leftImg8bit/val/ulm/ulm_0_leftImg8bit.png');
    await map('gtFine/val/ulm/ulm_0_gtFine_instanceIds.png', halves(26_001, 24), 'word');
    const { left, right, truth } = await namesIn('cityscapes');
    expect([left, right]).toEqual(['car', 'person']);
    expect(truth.segments.map(({ crowd }) => crowd)).toEqual([false, true]);
  });
});

const PANOPTIC = {
  images: [{ id: 1, file_name: 'a.jpg', width: WIDTH, height: HEIGHT }],
  categories: [
    { id: 7, name: 'cat', isthing: 1 },
    { id: 9, name: 'sky', isthing: 0 },
  ],
  annotations: [
    {
      image_id: 1,
      file_name: 'a.png',
      segments_info: [
        { id: 5, category_id: 7, iscrowd: 0 },
        { id: 70_000, category_id: 9 },
      ],
    },
  ],
};

async function panoptic(json: unknown, text = JSON.stringify(json, null, 1)): Promise<void> {
  await photograph('images/a.jpg');
  await map('panoptic/a.png', halves(5, 70_000), 'rgb');
  writeFiles(root, { 'panoptic.json': text });
}

describe('COCO panoptic', () => {
  it('reads ids of three bytes', async () => {
    await panoptic(PANOPTIC);
    expect(await namesIn('coco-panoptic')).toMatchObject({ left: 'cat', right: 'sky' });
  });

  const broken: [what: string, change: (json: typeof PANOPTIC) => unknown, message: RegExp][] = [
    [
      'an unknown category',
      (json) => ({ ...json, categories: json.categories.slice(1) }),
      /panoptic\.json:\d+:\d+: annotations\[0\]\.segments_info\[0\]\.category_id is no category \(7\)/,
    ],
    [
      'an annotation without its image',
      (json) => ({ ...json, images: [] }),
      /annotations\[0\]\.image_id is no image of the file/,
    ],
    [
      'a file name that leads elsewhere',
      (json) => ({ ...json, images: [{ ...json.images[0], file_name: '../../etc/passwd' }] }),
      /file_name leads out of its folder/,
    ],
    ['a list that is none', (json) => ({ ...json, annotations: {} }), /annotations is no list/],
    [
      'a category twice',
      (json) => ({ ...json, categories: [...json.categories, json.categories[0]] }),
      /categories\[2\]\.id is there twice/,
    ],
    [
      'an image twice',
      (json) => ({ ...json, images: [...json.images, { ...json.images[0], file_name: 'b.jpg' }] }),
      /panoptic\.json:\d+:\d+: images\[1\]\.id is there twice \(1\)/,
    ],
  ];
  it.each(broken)('refuses %s and says where', async (_, change, message) => {
    await panoptic(change(structuredClone(PANOPTIC)));
    const error = await errorOf(openDataset('coco-panoptic', root));
    expect(error.code).toBe('ERR_DATA');
    expect(error.message).toMatch(message);
  });

  it('gives the line of a fault', async () => {
    const text = JSON.stringify(PANOPTIC, null, 1).replace('"category_id": 9', '"category_id": -1');
    await panoptic(null, text);
    const line = text.slice(0, text.indexOf('"category_id": -1')).split('\n').length;
    const error = await errorOf(openDataset('coco-panoptic', root));
    expect(error.message).toContain(`panoptic.json:${line}:`);
  });

  it.each([
    ['a string without its end', '{\n "images": [],\n "oops\n}', '3:7'],
    ['a token that is not expected', '{\n "images": [1,\n2,\n,3]}', '4:1'],
    ['a word that is none', '{\n "images": [NaN]}', '2:13'],
    ['a file that was cut short', '{\n "images": [\n  {"id": 1},\n', '4:1'],
    ['something behind the end', '{\n}\n}', '3:1'],
  ])('gives line and column of %s', async (_, text, place) => {
    await panoptic(null, text);
    const { message } = await errorOf(openDataset('coco-panoptic', root));
    expect(message).toContain(`panoptic.json:${place}: is not JSON: `);
  });

  it('refuses a map with a segment that the JSON does not list', async () => {
    await panoptic(PANOPTIC);
    await map('panoptic/a.png', halves(5, 6), 'rgb');
    const dataset = await openDataset('coco-panoptic', root);
    expect((await errorOf(dataset.truth(0))).message).toMatch(/pixel \(3, 0\) is of segment 6/);
  });

  it('refuses a segment of the JSON that is nowhere in the map', async () => {
    const json = structuredClone(PANOPTIC);
    for (const id of [6, 90_000]) {
      json.annotations[0]?.segments_info.push({ id, category_id: 9 } as never);
    }
    await panoptic(json);
    const dataset = await openDataset('coco-panoptic', root);
    const error = await errorOf(dataset.truth(0));
    expect(error.code).toBe('ERR_DATA');
    expect(error.message).toMatch(/a\.png: has no pixel of 6, 90000, which segments_info lists/);
    expect((await checkDataset('coco-panoptic', root)).problems).toEqual([error.message]);
  });
});

describe('Mapillary Vistas', () => {
  const vistas = (count: number) => ({
    images: [{ id: '_1Gn', file_name: 'a.jpg', width: WIDTH, height: HEIGHT }],
    // By falling ids: their order in the file says nothing.
    categories: Array.from({ length: count }, (_, i) => ({
      id: count - i,
      name: `object--${count - i}`,
      isthing: count - i === 56 ? 1 : 0,
    })),
    annotations: [
      {
        image_id: '_1Gn',
        file_name: 'a.png',
        segments_info: [
          { id: 5, category_id: 56 },
          { id: 70_000, category_id: 28 },
        ],
      },
    ],
  });

  async function written(count: number): Promise<void> {
    await photograph('validation/images/a.jpg');
    await map('validation/panoptic/a.png', halves(5, 70_000), 'rgb');
    const json = JSON.stringify(vistas(count));
    writeFiles(root, { 'validation/panoptic/panoptic_2018.json': json });
  }

  it('names categories by their ids, and images by texts', async () => {
    await written(65);
    const { dataset, left, right } = await namesIn('mapillary-vistas');
    expect([left, right]).toEqual(['car', 'sky']);
    const { classes } = dataset;
    expect(classes.filter(({ thing }) => thing).map(({ name }) => name)).toEqual(['car']);
  });

  it('refuses another number of classes', async () => {
    await written(60);
    const error = await errorOf(openDataset('mapillary-vistas', root));
    expect(error.message).toMatch(/has 60 classes, Mapillary Vistas 1\.2 has 65/);
  });
});

describe('checkDataset', () => {
  it('lists everything that is wrong, and counts the rest', async () => {
    const json = structuredClone(PANOPTIC);
    json.images.push({ ...json.images[0], id: 2, file_name: 'b.jpg' } as never);
    json.annotations.push(
      { ...json.annotations[0], image_id: 2, file_name: 'missing.png' } as never,
      { ...json.annotations[0], image_id: 44 } as never,
    );
    await panoptic(json);
    await photograph('images/b.jpg', { width: 9, height: 9 });
    const { problems, images, segments, classes } = await checkDataset('coco-panoptic', root);
    expect(problems).toHaveLength(2);
    expect(problems[0]).toMatch(/annotations\[2\]\.image_id/);
    expect(problems[1]).toMatch(/missing\.png/);
    expect({ images, segments }).toEqual({ images: 2, segments: 2 });
    expect(classes).toEqual([
      { name: 'cat', images: 1 },
      { name: 'sky', images: 1 },
    ]);
  });

  it('lists records of images that are wrong, and goes on', async () => {
    const json = structuredClone(PANOPTIC);
    json.images.push({ ...json.images[0], id: -2 } as never, { ...json.images[0] } as never);
    await panoptic(json);
    const { problems, images, segments } = await checkDataset('coco-panoptic', root);
    expect(problems).toEqual([
      expect.stringMatching(/images\[1\]\.id is no whole number of 0 or more \(-2\)/),
      expect.stringMatching(/images\[2\]\.id is there twice \(1\)/),
    ]);
    expect({ images, segments }).toEqual({ images: 1, segments: 2 });
  });

  it('lists everything that is wrong with one image', async () => {
    const json = structuredClone(PANOPTIC) as unknown as {
      annotations: [{ segments_info: unknown[] }];
    };
    json.annotations[0].segments_info.push(
      { id: 6, category_id: 1 },
      { id: 8, category_id: 7, iscrowd: 2 },
      'none',
      { id: 44, category_id: 7 },
    );
    await panoptic(json);
    const values = halves(5, 70_000);
    values.splice(0, 4, 6, 8, 1234, 4321);
    await map('panoptic/a.png', values, 'rgb');
    writeFileSync(join(root, 'images/a.jpg'), 'no image');
    const { problems, segments } = await checkDataset('coco-panoptic', root);
    expect(problems).toEqual([
      expect.stringMatching(/segments_info\[4\] is no object/),
      expect.stringMatching(/segments_info\[2\]\.category_id is no category \(1\)/),
      expect.stringMatching(/segments_info\[3\]\.iscrowd is neither 0 nor 1 \(2\)/),
      expect.stringMatching(/a\.png: pixel \(2, 0\) is of segment 1234, others of 4321, which/),
      expect.stringMatching(/a\.png: has no pixel of 44, which/),
      expect.stringMatching(/a\.jpg: cannot be decoded/),
    ]);
    expect(segments).toBe(2);
  });

  it('lists categories and items that are wrong, and what refers to them only once', async () => {
    const json = structuredClone(PANOPTIC) as unknown as Record<string, unknown[]>;
    json.categories?.splice(0, 1, { id: 7, name: '' }, 3, { id: 11, name: 'sea', isthing: 5 });
    json.images?.push({ id: 2, file_name: 'b.jpg', width: -1, height: 4 }, null);
    json.annotations?.push({ ...(json.annotations[0] as object), image_id: 2 }, []);
    await panoptic(json);
    const { problems, ...counts } = await checkDataset('coco-panoptic', root);
    expect(problems).toEqual([
      expect.stringMatching(/categories\[1\] is no object/),
      expect.stringMatching(/categories\[0\]\.name is no text/),
      expect.stringMatching(/categories\[2\]\.isthing is neither 0 nor 1/),
      expect.stringMatching(/images\[2\] is no object/),
      expect.stringMatching(/images\[1\]\.width is no whole number/),
      expect.stringMatching(/annotations\[2\] is no object/),
    ]);
    expect(counts).toEqual({ images: 1, segments: 1, classes: [{ name: 'sky', images: 1 }] });
  });

  it('lists the faults of a data set of which nothing is right', async () => {
    const json = { ...PANOPTIC, annotations: [{ image_id: 5 }, { image_id: 6 }] };
    await panoptic(json);
    const { problems, images } = await checkDataset('coco-panoptic', root);
    expect(images).toBe(0);
    expect(problems).toEqual([
      expect.stringMatching(/annotations\[0\]\.image_id is no image of the file \(5\)/),
      expect.stringMatching(/annotations\[1\]\.image_id is no image of the file \(6\)/),
      expect.stringMatching(/holds no annotated image/),
    ]);
  });

  it('finds an image that is cut short, and one of another size than its truth', async () => {
    await panoptic(PANOPTIC);
    await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
      .jpeg()
      .toBuffer()
      .then((bytes) => writeFileSync(join(root, 'images/a.jpg'), bytes));
    const [wrongSize] = (await checkDataset('coco-panoptic', root)).problems;
    expect(wrongSize).toMatch(/a\.jpg: is 64 × 64, its truth 6 × 4/);
    writeFileSync(join(root, 'images/a.jpg'), 'no image');
    const [broken] = (await checkDataset('coco-panoptic', root)).problems;
    expect(broken).toMatch(/a\.jpg: cannot be decoded/);
  });

  it('lists images without a map', async () => {
    await photograph('images/validation/a.jpg');
    await photograph('images/validation/b.jpg');
    await map('annotations/validation/a.png', halves(1, 2), 'byte');
    const { problems, images } = await checkDataset('ade20k-150', root);
    expect(images).toBe(1);
    expect(problems).toEqual([expect.stringMatching(/b\.jpg: has no map b\.png/)]);
  });

  it('says what it looked for when there is nothing', async () => {
    const kinds = ['coco-panoptic', 'coco-instance', 'ade20k-150', 'voc-21', 'cityscapes'] as const;
    for (const kind of kinds) {
      const error = await errorOf(checkDataset(kind, root));
      expect(error.message).toMatch(/looked for/);
    }
  });
});
