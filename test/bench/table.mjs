/** Numbers in rows, and their middle. */

const WIDTHS = [22, 9, 24, 24, 24];

export function printRow(cells) {
  console.log(cells.map((cell, i) => String(cell).padEnd(WIDTHS[i] ?? 20)).join(''));
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
