/** Numbers that look random and are the same on every machine. */

/** @returns {(low: number, high: number) => number} uniform in [low, high) */
export function createRandom(seed) {
  let state = seed >>> 0;
  return (low, high) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return low + (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * (high - low);
  };
}

/** `rgb(...)` between two colours given as [r, g, b]; t in [0, 1]. */
export function mix(from, to, t) {
  const part = from.map((value, i) => Math.round(value + (to[i] - value) * t));
  return `rgb(${part.join(',')})`;
}
