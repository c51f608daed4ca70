/** Sizes that a network tells in a tensor. */
import { LexisegError } from '../errors.js';
import { runJob } from '../job.js';
import type { NativeTensor } from '../native.js';
import { LIMITS, type Size } from '../options.js';

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
