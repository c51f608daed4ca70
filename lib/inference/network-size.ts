/** Sizes and places that a network tells in a tensor. */
import { LexisegError } from '../errors.js';
import type { GridArea } from '../frame.js';
import { runJob } from '../job.js';
import type { NativeTensor } from '../native.js';
import { LIMITS, type Size } from '../options.js';
import { float32OnHost } from './host-numbers.js';

/**
 * int64 [2] (height, width) of the graph as a size in pixels.
 *
 * @throws LexisegError `ERR_BUNDLE_CONTRACT` that names what is no size.
 */
export async function readSize(
  tensor: NativeTensor,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Size> {
  const onHost =
    tensor.device === 'cpu'
      ? tensor
      : await runJob(signal, (job) => tensor.to(job, 'cpu', tensor.dtype));
  const [height = 0, width = 0, ...rest] = Array.from(onHost.data(), Number);
  if (onHost !== tensor) onHost.dispose();
  const valid = [height, width].every(
    (side) => Number.isInteger(side) && side >= 1 && side <= 4 * LIMITS.imageSide,
  );
  if (!valid || rest.length > 0) {
    throw new LexisegError('ERR_BUNDLE_CONTRACT', `${name} is no (height, width) in pixels`);
  }
  return Object.freeze({ width, height });
}

/**
 * float32 [4] (top, left, height, width) of the graph, pixels of the network input.
 *
 * @throws LexisegError `ERR_BUNDLE_CONTRACT` for what is no area.
 */
export async function readArea(
  tensor: NativeTensor,
  signal: AbortSignal | undefined,
): Promise<GridArea> {
  const [top = NaN, left = NaN, height = 0, width = 0, ...rest] = await float32OnHost(
    tensor,
    signal,
  );
  const most = 4 * LIMITS.imageSide;
  const placed = [top, left].every((place) => Math.abs(place) <= most);
  const sized = [height, width].every((side) => side >= 1 && side <= most);
  if (!placed || !sized || rest.length > 0) {
    throw new LexisegError(
      'ERR_BUNDLE_CONTRACT',
      'grid_area is no (top, left, height, width) in pixels: export the bundle anew',
    );
  }
  return Object.freeze({ top, left, height, width });
}
