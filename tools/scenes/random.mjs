/** Seeded random numbers: a stream depends on its key alone. */

/** 32-bit hash of texts and numbers (FNV-1a, then a finalising mix). */
export function hash(...parts) {
  let h = 0x811c9dc5;
  for (const character of parts.join('\u0001')) {
    h = Math.imul(h ^ character.codePointAt(0), 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

/** A stream of random numbers (SplitMix32). */
export class Random {
  #state;

  /** @param {...(string | number)} key equal keys give equal streams. */
  constructor(...key) {
    this.#state = hash(...key);
  }

  /** In [0, 1). */
  next() {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state ^ (this.#state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 4294967296;
  }

  /** In [least, most). */
  between(least, most) {
    return least + (most - least) * this.next();
  }

  /** An integer in [least, most]. */
  integer(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** In [least, most), evenly spread over its logarithm. */
  logarithmic(least, most) {
    return Math.exp(this.between(Math.log(least), Math.log(most)));
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** A new array in random order. */
  shuffled(list) {
    const result = [...list];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }
}
