/** How well a score tells two kinds apart. */

export interface Roc {
  /** Area under the curve, [0, 1]: how often one of the first kind scores above one of the other. */
  readonly auc: number;
  /** From (0, 0) to (1, 1): shares of the other kind and of the first that are above a threshold. */
  readonly curve: readonly (readonly [falsePositives: number, truePositives: number])[];
}

/** Points of a curve. */
const POINTS = 100;

/**
 * The receiver operating characteristic; ties count half.
 *
 * @param positive scores of the first kind
 * @param negative scores of the other
 */
export function rocOf(positive: Float32Array, negative: Float32Array): Roc {
  const [above, below] = [positive.slice().sort(), negative.slice().sort()];
  const [m, n] = [above.length, below.length];
  const all = Float32Array.from([...above, ...below]).sort();
  let [i, j, area] = [m, n, 0];
  const curve: [number, number][] = [[0, 0]];
  const every = Math.max(1, Math.floor(all.length / POINTS));
  let since = 0;
  for (let at = all.length - 1; at >= 0; ) {
    const value = all[at] as number;
    const [wasI, wasJ] = [i, j];
    while (i > 0 && (above[i - 1] as number) >= value) i--;
    while (j > 0 && (below[j - 1] as number) >= value) j--;
    const [hits, misses] = [wasI - i, wasJ - j];
    // Those of the first kind above these, and half of those that tie with them.
    area += misses * (m - wasI + hits / 2);
    at -= hits + misses;
    since += hits + misses;
    if (since >= every || at < 0) {
      curve.push([1 - j / n, 1 - i / m]);
      since = 0;
    }
  }
  return { auc: area / (m * n), curve };
}
