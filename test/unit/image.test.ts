/** Every accepted kind of image, and every broken one. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { type DecodedImage, decodeImage, type ImageInput } from '../../lib/image.js';

const dir = mkdtempSync(join(tmpdir(), 'lexiseg-image-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const decode = (input: unknown, copy: 'auto' | 'never' = 'auto'): Promise<DecodedImage> =>
  decodeImage(input as ImageInput, { signal: undefined, copy });
const pixels = ({ rgb }: DecodedImage): number[] => [...rgb];

/** 2 × 1: red, blue. */
const twoPixels = Uint8Array.from([255, 0, 0, 0, 0, 255]);
const two = sharp(twoPixels, { raw: { width: 2, height: 1, channels: 3 } });

describe('decodeImage', () => {
  it('reads paths, file URLs, buffers, array buffers and sharp instances alike', async () => {
    const png = await two.clone().png().toBuffer();
    const path = join(dir, 'zwei Pixel é.png');
    writeFileSync(path, png);
    const bytes = new Uint8Array(png);
    for (const input of [path, pathToFileURL(path), png, bytes, bytes.buffer, sharp(png)]) {
      const image = await decode(input);
      expect(image).toMatchObject({ width: 2, height: 1 });
      expect(pixels(image)).toEqual([...twoPixels]);
    }
  });

  it('does not use up a sharp instance', async () => {
    const image = sharp(await two.clone().png().toBuffer());
    await decode(image);
    expect((await decode(image)).width).toBe(2);
  });

  it('turns EXIF orientation upright', async () => {
    const jpeg = await sharp({
      create: { width: 40, height: 20, channels: 3, background: '#000' },
    })
      .composite([
        {
          input: { create: { width: 20, height: 20, channels: 3, background: '#fff' } },
          left: 0,
          top: 0,
        },
      ])
      .jpeg({ quality: 100 })
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const image = await decode(jpeg);
    expect(image).toMatchObject({ width: 20, height: 40 });
    expect(image.rgb[0]).toBeGreaterThan(200);
    expect(image.rgb.at(-1)).toBeLessThan(50);
  });

  it('lays transparent pixels on white', async () => {
    const rgba = Uint8Array.from([255, 0, 0, 0, 0, 0, 0, 128, 0, 0, 255, 255]);
    const raw = { data: rgba, width: 3, height: 1 };
    const png = await sharp(rgba, { raw: { width: 3, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    for (const input of [raw, png]) {
      const [r, g, b, half, , , ...blue] = pixels(await decode(input));
      expect([r, g, b]).toEqual([255, 255, 255]);
      expect(Math.abs((half ?? 0) - 127)).toBeLessThanOrEqual(1);
      expect(blue).toEqual([0, 0, 255]);
    }
  });

  it('spreads grey over three channels', async () => {
    const grey = Uint8Array.from([0, 100, 200]);
    const greyAlpha = Uint8Array.from([0, 255, 100, 255, 200, 255]);
    const want = [0, 0, 0, 100, 100, 100, 200, 200, 200];
    expect(pixels(await decode({ data: grey, width: 3, height: 1 }))).toEqual(want);
    expect(pixels(await decode({ data: greyAlpha, width: 3, height: 1 }))).toEqual(want);
    const raw = { width: 3, height: 1, channels: 1 } as const;
    const png = await sharp(grey, { raw }).toColourspace('b-w').png().toBuffer();
    expect((await sharp(png).metadata()).channels).toBe(1);
    expect(pixels(await decode(png))).toEqual(want);
  });

  it('brings 16 bits down to 8', async () => {
    const deep = Uint16Array.from([65535, 32896, 0]);
    const png = await sharp(deep, { raw: { width: 1, height: 1, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    expect((await sharp(png).metadata()).depth).toBe('ushort');
    const image = pixels(await decode(png));
    [255, 128, 0].forEach((want, channel) => {
      expect(Math.abs((image[channel] ?? -9) - want)).toBeLessThanOrEqual(1);
    });
    const grey = await sharp(Uint16Array.from([32896]), {
      raw: { width: 1, height: 1, channels: 1 },
    })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect((await sharp(grey).metadata()).depth).toBe('ushort');
    for (const value of pixels(await decode(grey)))
      expect(Math.abs(value - 128)).toBeLessThanOrEqual(1);
  });

  it('brings 16 bits with a colour profile to sRGB, not to the wider space on the way', async () => {
    // sharp takes 16-bit numbers for Display P3, whose red, green and blue lie outside sRGB.
    const deep = Uint16Array.from([65535, 0, 0, 0, 65535, 0, 0, 0, 65535, 50_000, 20_000, 10_000]);
    for (const profile of ['srgb', 'p3']) {
      const png = await sharp(deep, { raw: { width: 4, height: 1, channels: 3 } })
        .toColourspace('rgb16')
        .withIccProfile(profile)
        .png()
        .toBuffer();
      expect(await sharp(png).metadata()).toMatchObject({ space: 'rgb16', hasProfile: true });
      const path = join(dir, `deep-${profile}.png`);
      writeFileSync(path, png);
      for (const input of [png, path, sharp(png)]) {
        const want = [255, 0, 0, 0, 255, 0, 0, 0, 255, 211, 67, 18];
        pixels(await decode(input)).forEach((value, at) => {
          expect(Math.abs(value - (want[at] ?? -9)), `${profile} ${at}`).toBeLessThanOrEqual(2);
        });
      }
    }
  });

  it('takes sharp instances of several images, and of a stream', async () => {
    const png = await two.clone().png().toBuffer();
    const joined = sharp([png, png], { join: { across: 2 } });
    expect(await decode(joined)).toMatchObject({ width: 4, height: 1 });
    const stream = sharp();
    const decoding = decode(stream);
    stream.end(png);
    expect(pixels(await decoding)).toEqual([...twoPixels]);
  });

  it('turns CMYK into RGB', async () => {
    const jpeg = await sharp({
      create: { width: 8, height: 8, channels: 3, background: '#ff0000' },
    })
      .toColourspace('cmyk')
      .jpeg({ quality: 100 })
      .toBuffer();
    expect((await sharp(jpeg).metadata()).channels).toBe(4);
    const image = await decode(jpeg);
    expect(image.rgb).toHaveLength(8 * 8 * 3);
    expect(image.rgb[0]).toBeGreaterThan(180);
    expect(image.rgb[2]).toBeLessThan(90);
  });

  it('copies bytes, and raw RGB unless told to borrow it', async () => {
    const data = Uint8Array.from(twoPixels);
    const copied = await decode({ data, width: 2, height: 1 });
    const borrowed = await decode({ data, width: 2, height: 1 }, 'never');
    data[0] = 7;
    expect(copied.rgb[0]).toBe(255);
    expect(borrowed.rgb[0]).toBe(7);
    const resizable = new Uint8Array(
      new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(6, {
        maxByteLength: 12,
      }),
    );
    const file = await two.clone().png().toBuffer();
    for (const bytes of [Buffer.from(file), Uint8Array.from(file)]) {
      const decoding = decode(bytes);
      bytes.fill(0);
      expect(pixels(await decoding)).toEqual([...twoPixels]);
    }
    const shared = new Uint8Array(new SharedArrayBuffer(6));
    for (const risky of [resizable, shared]) {
      const raw = { data: risky, width: 2, height: 1 };
      await expect(decode(raw, 'never')).rejects.toMatchObject({ code: 'ERR_TENSOR' });
      expect((await decode(raw)).rgb).toHaveLength(6);
    }
  });

  it('takes thin and tiny images', async () => {
    for (const [width, height] of [
      [1, 1],
      [1, 5000],
      [20_000, 10],
    ] as const) {
      const png = await sharp({ create: { width, height, channels: 3, background: '#123456' } })
        .png()
        .toBuffer();
      expect(await decode(png)).toMatchObject({ width, height });
    }
  });

  it('refuses what cannot be decoded with ERR_IMAGE_READ', async () => {
    const noise = await sharp({
      create: {
        width: 64,
        height: 64,
        channels: 3,
        background: '#000',
        noise: { type: 'gaussian', mean: 128, sigma: 50 },
      },
    })
      .png()
      .toBuffer();
    const jpeg = await sharp(noise).jpeg().toBuffer();
    const webp = await sharp(noise).webp().toBuffer();
    const text = join(dir, 'text.png');
    writeFileSync(text, 'not a picture');
    const broken = [noise, jpeg, webp].flatMap((file) => [
      file.subarray(0, 10),
      file.subarray(0, Math.floor(file.length / 2)),
      Buffer.concat([Buffer.from('XX'), file]),
    ]);
    const inputs = [
      join(dir, 'absent.jpg'),
      dir,
      text,
      Buffer.alloc(0),
      Buffer.from('<svg'),
      '/dev/zero',
      ...broken,
    ];
    for (const input of inputs) {
      await expect(decode(input), String(input).slice(0, 40)).rejects.toMatchObject({
        code: 'ERR_IMAGE_READ',
      });
    }
  });

  it('refuses empty and oversize images with ERR_IMAGE_SIZE', async () => {
    const data = new Uint8Array(12);
    const wrong = [
      { data, width: 0, height: 0 },
      { data, width: -2, height: 2 },
      { data, width: 2.5, height: 2 },
      { data, width: 100_000, height: 1 },
      { data, width: 3, height: 3 },
      { data, width: 2, height: 2, channels: 4 },
      { data: new Uint8Array(0), width: 2, height: 2, channels: 3 },
    ];
    for (const input of wrong) {
      await expect(decode(input)).rejects.toMatchObject({ code: 'ERR_IMAGE_SIZE' });
    }
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="60000" height="30000"/>',
    );
    await expect(decode(svg)).rejects.toMatchObject({
      code: expect.stringMatching(/ERR_IMAGE_(SIZE|READ)/),
    });
  });

  it('refuses other values in the one form', async () => {
    for (const input of [null, undefined, 5, {}, [], () => {}, new Float32Array(3)]) {
      await expect(decode(input)).rejects.toThrow(/^Expected a path, a Buffer, raw pixels/);
    }
    await expect(decode({ data: [1, 2, 3], width: 1, height: 1 })).rejects.toThrow(/image.data/);
    await expect(decode({ data: twoPixels, width: 2, heigth: 1 })).rejects.toThrow(/"height"/);
  });

  it('stops when the signal is aborted', async () => {
    const reason = new Error('enough');
    const call = decodeImage(await two.clone().png().toBuffer(), {
      signal: AbortSignal.abort(reason),
      copy: 'auto',
    });
    await expect(call).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: reason });
  });
});
