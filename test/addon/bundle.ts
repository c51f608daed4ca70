/** The shipped tiny bundle, opened through the boundary, and what the addon tests do with it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { findBinaries, type LibraryLoader, requireBinary } from '../../lib/binaries.js';
import { findLibTorch } from '../../lib/libtorch/find.js';
import { type NativeTensor, native } from '../../lib/native.js';
import type { NativeModel } from '../../lib/native-model.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

export const tinyBundle: string = join(root, 'models', 'bundles', 'tiny-fc-clip.pt');
/** Packed: its tensors are deflated. */
export const demoBundle: string = join(root, 'models', 'bundles', 'demo-fc-clip.pt');
export const fixtures: string = join(root, 'test', 'fixtures', 'bundles');
export const testFolder: string = dirname(fileURLToPath(import.meta.url));

export const stages: readonly string[] = [
  'stage_preprocess',
  'stage_backbone',
  'stage_pixel_decoder',
  'stage_transformer_decoder',
];

/** Files that `direct.mjs` needs to open the addon without the facade. */
export interface Places {
  loader: string;
  libraries: string[];
  addon: string;
}

export function places(): Places {
  const { loader, addon, ops } = findBinaries();
  const { torchVersion } = requireBinary<LibraryLoader>(loader);
  return { loader, addon, libraries: [...findLibTorch(torchVersion).libraries, ops] };
}

export async function loadTiny(dtype = 'float32'): Promise<NativeModel> {
  return native().loadModel(native().createJob(), tinyBundle, 'cpu', dtype, 0);
}

export function someImage(height: number, width: number): NativeTensor {
  const image = native().allocTensor([1, height, width, 3], 'uint8', false);
  const bytes = image.data();
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = (i * 7) % 251;
  return image;
}

export function someTokens(prompts: number, length: number): NativeTensor {
  const ids = BigInt64Array.from({ length: prompts * length }, (_, i) => BigInt((i * 31) % 4000));
  return native().copyTensor(ids, [prompts, length], 'int64');
}

/** Everything that classifyMasks takes beside the proposals, for `count` classes. */
export async function someClasses(model: NativeModel, count: number) {
  const embeddings = await model.encodeText(native().createJob(), someTokens(count, 8));
  const counts = native().copyTensor(new BigInt64Array(count).fill(1n), [count], 'int64');
  const seen = native().copyTensor(new Uint8Array(count), [count], 'bool');
  return { embeddings, counts, seen } as const;
}

/** The promise, or the call itself, must fail with this code. */
export async function expectCode(call: () => unknown, code: string): Promise<Error> {
  let failure: unknown;
  try {
    await call();
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(Error);
  expect((failure as { code?: string }).code, (failure as Error).message).toBe(code);
  return failure as Error;
}

export function tinyBytes(): Buffer {
  return readFileSync(tinyBundle);
}
