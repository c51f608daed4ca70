/** What a bundle's methods give, held to what was asked of them. */
import { LexisegError } from './errors.js';
import type { NativeTensor } from './native.js';

/** Sizes by axis. A letter is a size of 1 or more that the bundle chooses, one wherever it stands. */
export type Shape = readonly (number | string)[];

/**
 * Refuses results that are not float32 tensors of these shapes: rows that are missing or too wide
 * would be read as those of a neighbour.
 *
 * @param name of the method or the tensor.
 * @throws LexisegError `ERR_BUNDLE_CONTRACT` with what was given and what should have been.
 */
export function checkGiven(
  name: string,
  tensors: readonly NativeTensor[],
  shapes: readonly Shape[],
): void {
  const chosen = new Map<string, number>();
  tensors.forEach(({ dtype, shape }, position) => {
    const wanted = shapes[position] as Shape;
    const fits = wanted.every((size, axis) => {
      const given = shape[axis] ?? 0;
      if (typeof size === 'number') return given === size;
      if (!chosen.has(size)) chosen.set(size, given);
      return given > 0 && given === chosen.get(size);
    });
    if (fits && dtype === 'float32' && shape.length === wanted.length) return;
    throw new LexisegError(
      'ERR_BUNDLE_CONTRACT',
      `The bundle gave ${dtype} [${shape.join(', ')}] for ${name}, not float32 [${wanted.join(', ')}]`,
      { details: { name, dtype, shape, expected: wanted } },
    );
  });
}
