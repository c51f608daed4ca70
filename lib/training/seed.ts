/** Numbers that follow from a seed: the same for a sample whatever rank or batch it comes in. */

const MASK = (1n << 64n) - 1n;

/** SplitMix64's mixing of 64 bits. */
function mix(value: bigint): bigint {
  let z = (value + 0x9e3779b97f4a7c15n) & MASK;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return z ^ (z >> 31n);
}

/**
 * int64 [count], a seed for each image of a batch.
 *
 * @param seed of the run.
 * @param step updates made before.
 * @param samples positions of the images within the batch of all ranks together.
 */
export function sampleSeeds(seed: number, step: number, samples: readonly number[]): BigInt64Array {
  const base = mix(mix(BigInt(seed)) ^ BigInt(step));
  return BigInt64Array.from(samples, (sample) => BigInt.asIntN(64, mix(base ^ BigInt(sample))));
}
