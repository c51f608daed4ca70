/** Decoded images as the batches that a network takes: equal sizes together. */
import { expected } from '../errors.js';
import {
  type DecodedImage,
  type DecodeOptions,
  decodeImage,
  type ImageInput,
  ownImage,
} from '../image.js';
import { callNative, throwIfAborted } from '../job.js';
import { type NativeTensor, native } from '../native.js';
import { checkOptions, type ImageBatchOptions, integerIn, LIMITS } from '../options.js';
import { Proposals } from '../proposals.js';

/** How a list of images is decoded and batched. */
export interface BatchPlan extends DecodeOptions {
  readonly batchSize: number;
}

/** The images of a call as they are now, checked, and what its options ask for. */
export function holdImages(
  images: readonly ImageInput[],
  options: ImageBatchOptions,
): { readonly inputs: readonly ImageInput[]; readonly plan: BatchPlan } {
  checkOptions(options, ['signal', 'batchSize'], 'options');
  const { signal, batchSize: size = 16 } = options;
  throwIfAborted(signal);
  if (!Array.isArray(images) || images.length === 0) throw expected('images', 'images', images);
  const batchSize = integerIn(size, 1, LIMITS.batchSize, 'options.batchSize');
  const { inputs, copy } = holdInputs<ImageInput>(images, 'auto', true);
  return { inputs, plan: { batchSize, copy, signal } };
}

/**
 * The inputs of a call as they are now, and how to decode them. With `copy: 'auto'` they are copied
 * here; a lone one that is decoded `atOnce`, before any await, is copied there.
 */
export function holdInputs<Input extends ImageInput | Proposals>(
  inputs: readonly Input[],
  copy: DecodeOptions['copy'],
  atOnce: boolean,
): { readonly inputs: readonly Input[]; readonly copy: DecodeOptions['copy'] } {
  if (copy !== 'auto' || (atOnce && inputs.length === 1)) return { inputs: [...inputs], copy };
  const own = inputs.map((one) => (one instanceof Proposals ? one : ownImage(one)) as Input);
  return { inputs: own, copy: 'own' };
}

/** An image with its place in the caller's list. */
export interface Slot {
  readonly index: number;
  readonly image: DecodedImage;
}

/** Inputs that follow one another, up to `end`, and those of them that are images, decoded. */
export interface Window {
  readonly start: number;
  readonly end: number;
  readonly slots: readonly Slot[];
}

/** Batches whose images are decoded together, so that equal sizes can meet. */
const BATCHES_PER_WINDOW = 4;

/**
 * All inputs, window after window, each of a few batches and bounded in bytes. The next is decoded on
 * sharp's threads while the caller works on this one. When the caller leaves, on an error as well,
 * nothing reads the inputs any longer.
 */
export async function* decodedWindows(
  inputs: readonly (ImageInput | Proposals)[],
  { batchSize, ...options }: BatchPlan,
): AsyncGenerator<Window> {
  const length = batchSize === 1 ? 1 : batchSize * BATCHES_PER_WINDOW;
  const leaving = new AbortController();
  const signals = options.signal ? [options.signal, leaving.signal] : [leaving.signal];
  const decoding = { ...options, signal: AbortSignal.any(signals) };
  let next = decodeWindow(inputs, 0, length, decoding);
  try {
    for (let start = 0; start < inputs.length; ) {
      const window = await next;
      start = window.end;
      next = decodeWindow(inputs, start, length, decoding);
      next.catch(() => {});
      yield window;
    }
  } finally {
    leaving.abort();
    await next.catch(() => {});
  }
}

async function decodeWindow(
  inputs: readonly (ImageInput | Proposals)[],
  start: number,
  length: number,
  options: DecodeOptions,
): Promise<Window> {
  const slots: Slot[] = [];
  const most = Math.min(start + length, inputs.length);
  let end = start;
  for (let bytes = 0; end < most && bytes < LIMITS.windowBytes; end++) {
    const input = inputs[end] as ImageInput | Proposals;
    if (input instanceof Proposals) continue;
    const image = await decodeImage(input, options);
    slots.push({ index: end, image });
    bytes += image.rgb.byteLength;
  }
  return { start, end, slots };
}

/** uint8 [B, H, W, 3] of images of one size; a single one is borrowed, not copied. */
export function stackImages(images: readonly DecodedImage[]): NativeTensor {
  const [first] = images as readonly [DecodedImage];
  const shape = [images.length, first.height, first.width, 3];
  if (images.length === 1)
    return callNative(() => native().borrowTensor(first.rgb, shape, 'uint8'));
  const stacked = callNative(() => native().allocTensor(shape, 'uint8', false));
  const bytes = stacked.data() as Uint8Array;
  images.forEach(({ rgb }, row) => {
    bytes.set(rgb, row * rgb.byteLength);
  });
  return stacked;
}

/** Slots grouped by image size, each group cut into batches; order is kept inside a group. */
export function batchesOfEqualSize(slots: readonly Slot[], batchSize: number): Slot[][] {
  const groups = new Map<string, Slot[]>();
  for (const slot of slots) {
    const key = `${slot.image.width}×${slot.image.height}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [slot]);
    else group.push(slot);
  }
  const batches: Slot[][] = [];
  for (const group of groups.values()) {
    for (let start = 0; start < group.length; start += batchSize) {
      batches.push(group.slice(start, start + batchSize));
    }
  }
  return batches;
}
