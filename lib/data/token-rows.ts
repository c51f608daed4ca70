/** Texts of a batch as one tensor. */
import { Tensor } from '../tensor.js';

/** int64 [N, L] with L the longest text; zeros after the end. */
export function tokenRows(texts: readonly (readonly number[])[]): Tensor {
  const length = Math.max(...texts.map((ids) => ids.length));
  const tokenIds = new BigInt64Array(texts.length * length);
  for (const [row, ids] of texts.entries()) {
    for (const [column, id] of ids.entries()) tokenIds[row * length + column] = BigInt(id);
  }
  return Tensor.from(tokenIds, [texts.length, length]);
}
