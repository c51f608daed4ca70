/** Embeddings as vectors of length 1. */

/** Rows of float32 [count, C], each scaled to length 1. */
export function unitRows(rows: Float32Array, count: number): Float32Array[] {
  const width = rows.length / count;
  return Array.from({ length: count }, (_, i) => unit(rows.slice(i * width, (i + 1) * width)));
}

/** The product of two vectors: of those of length 1, their cosine. */
export function product(one: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += (one[i] as number) * (other[i] as number);
  return sum;
}

/** Scales to length 1 in place; zeros stay. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(product(vector, vector));
  if (length > 0)
    for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] as number) / length;
  return vector;
}

/** Halfway between what was and what is seen: one blurred frame must not lose a thing. */
export const blend = (old: Float32Array, seen: Float32Array): Float32Array =>
  unit(old.map((value, i) => value + (seen[i] as number)));
