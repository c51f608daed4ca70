/** Which of the things of a frame is which of those remembered. */
import { LexisegError } from '../errors.js';
import { callNative } from '../job.js';
import { native } from '../native.js';
import { LIMITS } from '../options.js';

/**
 * Hungarian matching: the column of each row, -1 where there are more rows than columns.
 *
 * @param cost float32 [rows × columns], row-major; the sum over pairs becomes the least possible
 * @throws LexisegError `ERR_UNSUPPORTED` for more than `LIMITS.followed` rows or columns.
 */
export function matchRows(cost: Float32Array, rows: number, columns: number): Int32Array {
  const most = Math.max(rows, columns);
  if (most <= LIMITS.followed) return callNative(() => native().assign(cost, rows, columns));
  throw new LexisegError(
    'ERR_UNSUPPORTED',
    `${most} queries or things in a frame cannot be matched, at most ${LIMITS.followed}; ` +
      'options.tracking.association "none" matches none',
    { details: { rows, columns, limit: LIMITS.followed } },
  );
}
