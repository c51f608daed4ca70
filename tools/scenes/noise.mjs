/** Smooth noise and cells over the plane, both seeded. */

const SIZE = 64;
const MASK = SIZE - 1;

/** Value noise: 0..1, smooth, with a period of 64 lattice steps. */
export class Noise {
  #values;

  constructor(random) {
    this.#values = Float32Array.from({ length: SIZE * SIZE }, () => random.next());
  }

  at(x, y) {
    const x0 = Math.floor(x);
    const y0 = Math.floor(y);
    const fx = x - x0;
    const fy = y - y0;
    const u = fx * fx * (3 - 2 * fx);
    const v = fy * fy * (3 - 2 * fy);
    const left = x0 & MASK;
    const right = (x0 + 1) & MASK;
    const top = (y0 & MASK) * SIZE;
    const bottom = ((y0 + 1) & MASK) * SIZE;
    const values = this.#values;
    const above = values[top + left] + (values[top + right] - values[top + left]) * u;
    const below = values[bottom + left] + (values[bottom + right] - values[bottom + left]) * u;
    return above + (below - above) * v;
  }

  /** The sum of octaves, 0..1. */
  octaves(x, y, count) {
    let sum = 0;
    let weight = 0.5;
    let total = 0;
    let scale = 1;
    for (let i = 0; i < count; i++) {
      sum += weight * this.at(x * scale + 17 * i, y * scale + 31 * i);
      total += weight;
      weight /= 2;
      scale *= 2;
    }
    return sum / total;
  }

  /** The value of the lattice cell that holds a point, 0..1. */
  cell(column, row) {
    return this.#values[(row & MASK) * SIZE + (column & MASK)];
  }
}

/** Cells about jittered lattice points (Voronoi), in units of the lattice. */
export class Cells {
  #jitterX;
  #jitterY;
  #shades;

  constructor(random) {
    this.#jitterX = new Noise(random);
    this.#jitterY = new Noise(random);
    this.#shades = new Noise(random);
  }

  /**
   * Writes [nearest distance, second distance, shade 0..1 of the cell, offset x, offset y] to out.
   */
  at(x, y, out) {
    const column = Math.floor(x);
    const row = Math.floor(y);
    let first = 1e9;
    let second = 1e9;
    for (let r = row - 1; r <= row + 1; r++) {
      for (let c = column - 1; c <= column + 1; c++) {
        const dx = c + 0.1 + 0.8 * this.#jitterX.cell(c, r) - x;
        const dy = r + 0.1 + 0.8 * this.#jitterY.cell(c, r) - y;
        const squared = dx * dx + dy * dy;
        if (squared < first) {
          second = first;
          first = squared;
          out[2] = this.#shades.cell(c, r);
          out[3] = dx;
          out[4] = dy;
        } else if (squared < second) {
          second = squared;
        }
      }
    }
    out[0] = Math.sqrt(first);
    out[1] = Math.sqrt(second);
  }
}
