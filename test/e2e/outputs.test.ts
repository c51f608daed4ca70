/** Files made from results: COCO, label PNG, GeoJSON, overlay. */
import { writeFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Segmentation, Segmenter } from '../../lib/index.js';
import { native } from '../../lib/native.js';
import { drawScene } from '../fixtures/scene.js';
import { SCENE_CLASSES, TINY_BUNDLE } from './bundle-file.js';

const WIDTH = 240;
const HEIGHT = 160;
let segmenter: Segmenter;
let results: Segmentation[];

beforeAll(async () => {
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
  using vocabulary = await segmenter.createVocabulary(SCENE_CLASSES);
  const picture = await drawScene(WIDTH, HEIGHT);
  results = [
    await segmenter.segment(picture, vocabulary, { task: 'semantic' }),
    await segmenter.segment(picture, vocabulary, { task: 'panoptic' }),
    await segmenter.segment(picture, vocabulary, { task: 'instance' }),
  ];
});
afterAll(async () => {
  for (const result of results) result.dispose();
  await segmenter.dispose();
});

const of = (task: string): Segmentation =>
  results.find((result) => result.task === task) as Segmentation;

describe('outputs', () => {
  it('write COCO panoptic annotations whose PNG holds the ids', async () => {
    for (const task of ['semantic', 'panoptic']) {
      const result = of(task);
      const { annotation, categories, png } = await result.toPanopticJson({ imageId: 7 });
      const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
      expect(info).toMatchObject({ width: WIDTH, height: HEIGHT, channels: 3 });
      const areas = new Map<number, number>();
      for (let pixel = 0; pixel < WIDTH * HEIGHT; pixel++) {
        const [r = 0, g = 0, b = 0] = data.subarray(3 * pixel, 3 * pixel + 3);
        const id = r + 256 * g + 65_536 * b;
        areas.set(id, (areas.get(id) ?? 0) + 1);
      }
      expect(annotation).toMatchObject({ image_id: 7, file_name: '7.png' });
      for (const { id, area, category_id } of annotation.segments_info) {
        expect(areas.get(id)).toBe(area);
        expect(categories.map((category) => category.id)).toContain(category_id);
      }
    }
    await expect(of('instance').toPanopticJson()).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
    });
  });

  it('write COCO results whose strings decode to the masks', async () => {
    for (const result of results) {
      const entries = await result.toCocoResults({
        imageId: 'a',
        categoryIds: [9, 8, 7, 6, 5, 4, 3],
      });
      expect(entries).toHaveLength(result.segments.length);
      entries.forEach(({ segmentation, category_id }, index) => {
        const segment = result.segments[index];
        expect(category_id).toBe(9 - (segment?.classIndex ?? -1));
        const counts = native().rleFromString(segmentation.counts);
        const mask = native().rleDecode(counts, WIDTH, HEIGHT);
        expect(segmentation.size).toEqual([HEIGHT, WIDTH]);
        expect(Buffer.from(mask).equals(Buffer.from(result.mask(segment?.id ?? 0)))).toBe(true);
      });
    }
    await expect(of('panoptic').toCocoResults({ categoryIds: [1] })).rejects.toThrow(/categoryIds/);
    await expect(of('panoptic').toCocoResults({ imageID: 1 } as never)).rejects.toThrow(
      /"imageId"/,
    );
  });

  it('write label PNGs of 8 bits, and of 16 when there are many classes', async () => {
    const small = await of('semantic').toLabelPng();
    const meta = await sharp(small).metadata();
    expect(meta).toMatchObject({ channels: 1, depth: 'uchar', width: WIDTH, height: HEIGHT });
    const labels = await sharp(small).toColourspace('b-w').raw().toBuffer();
    const { data, offset } = await of('semantic').regionMap();
    expect([...labels]).toEqual(Array.from(data, (id) => id + offset - 1));

    const many = Array.from({ length: 400 }, (_, index) => `thing ${index}`);
    using wide = await segmenter.segment(await drawScene(20, 20), many, { task: 'semantic' });
    const png = await wide.toLabelPng();
    expect(await sharp(png).metadata()).toMatchObject({ channels: 1, depth: 'ushort' });
    const deep = await sharp(png).toColourspace('grey16').raw({ depth: 'ushort' }).toBuffer();
    const values = new Uint16Array(deep.buffer, deep.byteOffset, deep.length / 2);
    expect([...values]).toEqual([...wide.labelMap]);
  });

  it('write GeoJSON whose rings enclose exactly the area', async () => {
    for (const result of results) {
      const { features } = await result.toGeoJson();
      expect(features).toHaveLength(result.segments.length);
      for (const { id, geometry, properties } of features) {
        const doubled = geometry.coordinates.flat().reduce((sum, ring) => sum + shoelace(ring), 0);
        expect(doubled / 2).toBe(properties.area);
        for (const [exterior, ...holes] of geometry.coordinates) {
          expect(shoelace(exterior ?? [])).toBeGreaterThan(0);
          for (const hole of holes) expect(shoelace(hole)).toBeLessThan(0);
        }
        expect(result.segments.find((segment) => segment.id === id)?.area).toBe(properties.area);
      }
    }
  });

  it('draw overlays with a legend', async () => {
    for (const result of results) {
      const png = await result.toOverlay();
      if (process.env.LEXISEG_KEEP)
        writeFileSync(`${process.env.LEXISEG_KEEP}/${result.task}.png`, png);
      const { width, height } = await sharp(png).metadata();
      expect(width).toBe(WIDTH * 4);
      expect(height).toBeGreaterThan(HEIGHT * 4);
      const bare = await result.toOverlay({
        legend: false,
        names: false,
        outlines: false,
        opacity: 0,
      });
      const plain = await sharp(bare).raw().toBuffer({ resolveWithObject: true });
      expect(plain.info).toMatchObject({ width: WIDTH * 4, height: HEIGHT * 4, channels: 3 });
    }
    await expect(of('semantic').toOverlay({ opacity: 2 })).rejects.toThrow(/options.opacity/);
    await expect(of('semantic').toOverlay({ ledgend: true } as never)).rejects.toThrow(/"legend"/);
  });

  it('survive names that are markup, very long, or in any script', async () => {
    const names = ['<b>&"x"</b>', 'ж'.repeat(5000), '猫😀', '\u0000\ud800x', '‮rtl', 'a\nb'];
    using result = await segmenter.segment(await drawScene(90, 60), names, { task: 'semantic' });
    expect((await sharp(await result.toOverlay()).metadata()).format).toBe('png');
  });

  it('refuse to be read after dispose', async () => {
    for (const task of ['semantic', 'panoptic', 'instance'] as const) {
      const result = await segmenter.segment(await drawScene(30, 20), SCENE_CLASSES, { task });
      const { segments } = result;
      result.dispose();
      result.dispose();
      const disposed = expect.objectContaining({ code: 'ERR_DISPOSED' });
      await expect(result.toOverlay()).rejects.toThrow(disposed);
      await expect(result.toLabelPng()).rejects.toThrow(disposed);
      await expect(result.toGeoJson()).rejects.toThrow(disposed);
      expect(result.toJSON().segments).toEqual(segments);
    }
  });

  it('stop when their signal is aborted, before the call and during it', async () => {
    // Large enough that each of them takes a breath.
    const side = 1200;
    const blank = { data: new Uint8Array(side * side * 3), width: side, height: side };
    using vocabulary = await segmenter.createVocabulary(SCENE_CLASSES);
    for (const task of ['semantic', 'panoptic', 'instance'] as const) {
      using result: Segmentation = await segmenter.segment(blank, vocabulary, { task });
      const writers: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
        ...(task === 'instance'
          ? {}
          : { toPanopticJson: (signal: AbortSignal) => result.toPanopticJson({ signal }) }),
        toCocoResults: (signal) => result.toCocoResults({ signal }),
        toLabelPng: (signal) => result.toLabelPng({ signal }),
        toGeoJson: (signal) => result.toGeoJson({ signal }),
        toOverlay: (signal) => result.toOverlay({ signal }),
      };
      expect(result.segments.length).toBeGreaterThan(0);
      for (const [name, write] of Object.entries(writers)) {
        const cause = new Error('enough');
        const aborted = { code: 'ERR_ABORTED', cause };
        await expect(write(AbortSignal.abort(cause)), name).rejects.toMatchObject(aborted);
        const controller = new AbortController();
        const written = write(controller.signal);
        controller.abort(cause);
        await expect(written, `${task}, ${name}`).rejects.toMatchObject(aborted);
        await expect(write({} as AbortSignal), name).rejects.toThrow(/AbortSignal/);
      }
    }
  });

  it('give nothing when the result is disposed while they are written', async () => {
    const picture = await drawScene(60, 40);
    const writers = [
      (result: Segmentation) => result.toPanopticJson(),
      (result: Segmentation) => result.toCocoResults(),
      (result: Segmentation) => result.toLabelPng(),
      (result: Segmentation) => result.toGeoJson(),
      (result: Segmentation) => result.toOverlay(),
    ];
    for (const task of ['semantic', 'panoptic', 'instance'] as const) {
      for (const [index, write] of writers.entries()) {
        const result = await segmenter.segment(picture, SCENE_CLASSES, { task });
        const written = write(result);
        result.dispose();
        await expect(written, `${task}, writer ${index}`).rejects.toMatchObject({
          code: 'ERR_DISPOSED',
        });
      }
    }
  });
});

function shoelace(ring: readonly (readonly [number, number])[]): number {
  return ring.slice(1).reduce((sum, [x1, y1], index) => {
    const [x0, y0] = ring[index] as readonly [number, number];
    return sum + x0 * y1 - x1 * y0;
  }, 0);
}
