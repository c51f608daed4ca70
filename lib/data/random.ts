/** Seeded random numbers for everything that is drawn while data is read. */

/** A stream of random numbers (SplitMix32) that depends on its key alone. */
export class Random {
  #state: number;

  /** @param key whole numbers; equal keys give equal streams. */
  constructor(...key: readonly number[]) {
    let state = 0x9e3779b9;
    for (const part of key) {
      state = scramble(state ^ (part >>> 0));
      state = scramble(state ^ Math.floor(part / 4294967296));
    }
    this.#state = state;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    return (scramble(this.#state) >>> 0) / 4294967296;
  }

  /** In [least, most). */
  between(least: number, most: number): number {
    return least + (most - least) * this.next();
  }

  /** A whole number in [0, count). */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** 0 … count − 1 in random order. */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const other = order[j] as number;
      order[j] = order[i] as number;
      order[i] = other;
    }
    return order;
  }
}

function scramble(value: number): number {
  let z = value ^ (value >>> 16);
  z = Math.imul(z, 0x21f0aaad);
  z ^= z >>> 15;
  z = Math.imul(z, 0x735a2d97);
  return z ^ (z >>> 15);
}
