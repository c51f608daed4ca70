/** A grey PNG whose pixels are class indices. */
import sharp from 'sharp';
import { breathe, throwIfAborted } from '../job.js';
import { type CallOptions, checkOptions } from '../options.js';
import type { Segmentation } from './segmentation.js';

const PIXELS_PER_BREATH = 1 << 19;

/** 8 bits while 255 stays free for unlabelled pixels, else 16 bits with 65535 for those. */
export async function toLabelPng(
  segmentation: Segmentation,
  options: CallOptions,
): Promise<Buffer> {
  checkOptions(options, ['signal'], 'options');
  const { signal } = options;
  throwIfAborted(signal);
  const { width, height, classes, segments } = segmentation;
  const wide = classes.length > 255;
  const unlabelled = wide ? 0xffff : 0xff;
  const { data, offset } = await segmentation.regionMap(signal);
  const lastId = segments.reduce((last, { id }) => Math.max(last, id), 0);
  const classOfId = new Uint16Array(lastId + 1).fill(unlabelled);
  for (const { id, classIndex } of segments) classOfId[id] = classIndex;
  const labels = wide ? new Uint16Array(data.length) : new Uint8Array(data.length);
  for (let pixel = 0; pixel < data.length; pixel++) {
    if (pixel % PIXELS_PER_BREATH === PIXELS_PER_BREATH - 1) await breathe(signal);
    labels[pixel] = classOfId[(data[pixel] as number) + offset] as number;
  }
  const raw = { width, height, channels: 1 } as const;
  return sharp(labels, { raw, limitInputPixels: false })
    .toColourspace(wide ? 'grey16' : 'b-w')
    .png()
    .toBuffer();
}
