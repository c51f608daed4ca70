/** Where ADE20K has the images of each split. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataset } from '../../lib/index.js';
import { temporaryFolder } from '../cli/places.js';

let root: string;
beforeEach(() => {
  root = temporaryFolder();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const SIZE = { width: 6, height: 4 };

/** An image whose pixels all have one number. */
async function image(name: string, value: number): Promise<void> {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  const background = { r: value, g: value, b: value };
  const plain = sharp({ create: { ...SIZE, channels: 3, background } });
  await (name.endsWith('.png') ? plain.toColourspace('b-w') : plain).toFile(path);
}

async function nameIn(split: 'train' | 'val'): Promise<string | undefined> {
  const dataset = await openDataset('ade20k-150', root, split);
  const { segments } = await dataset.truth(0);
  return dataset.classes[segments[0]?.classIndex ?? -1]?.name;
}

describe('ADE20K', () => {
  it('has no split that is not there, and one split without folders of any', async () => {
    await image('images/training/a.jpg', 90);
    await image('annotations/training/a.png', 150);
    expect(await nameIn('train')).toBe('flag');
    await expect(nameIn('val')).rejects.toMatchObject({
      code: 'ERR_DATA',
      message: expect.stringContaining('images/validation'),
    });
    for (const name of ['images', 'annotations']) rmSync(join(root, name), { recursive: true });
    await image('images/a.jpg', 90);
    await image('annotations/a.png', 150);
    expect(await nameIn('val')).toBe('flag');
  });

  it('has panoptic maps beside the images of the whole names of its splits', async () => {
    await image('images/validation/a.jpg', 90);
    mkdirSync(join(root, 'ade20k_panoptic_val'));
    const bytes = new Uint8Array(3 * SIZE.width * SIZE.height).fill(1);
    const map = sharp(bytes, { raw: { ...SIZE, channels: 3 } });
    await map.toFile(join(root, 'ade20k_panoptic_val/a.png'));
    const json = {
      images: [{ id: 1, file_name: 'a.jpg', ...SIZE }],
      annotations: [
        { image_id: 1, file_name: 'a.png', segments_info: [{ id: 65_793, category_id: 7 }] },
      ],
      categories: [{ id: 7, name: 'cat' }],
    };
    writeFileSync(join(root, 'ade20k_panoptic_val.json'), JSON.stringify(json));
    const dataset = await openDataset('coco-panoptic', root, 'val');
    expect(existsSync(dataset.image(0).path)).toBe(true);
    expect((await dataset.truth(0)).segments).toHaveLength(1);
  });
});
