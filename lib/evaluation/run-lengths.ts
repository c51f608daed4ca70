/** Areas and overlaps of masks given as COCO run lengths: column-major, zeros first. */

export type RunLengths = Uint32Array;

/** Pixels inside. */
export function runArea(runs: RunLengths): number {
  let area = 0;
  for (let i = 1; i < runs.length; i += 2) area += runs[i] as number;
  return area;
}

/** Pixels inside both. */
export function runIntersection(a: RunLengths, b: RunLengths): number {
  let i = 0;
  let j = 0;
  let leftA = a[0] ?? 0;
  let leftB = b[0] ?? 0;
  let shared = 0;
  while (i < a.length && j < b.length) {
    const length = Math.min(leftA, leftB);
    if (i % 2 === 1 && j % 2 === 1) shared += length;
    leftA -= length;
    leftB -= length;
    if (leftA === 0) leftA = a[++i] ?? 0;
    if (leftB === 0) leftB = b[++j] ?? 0;
  }
  return shared;
}

/** COCO's IoU: of a crowd, only how much of the detection lies in it counts. */
export function runIou(detection: RunLengths, truth: RunLengths, crowd: boolean): number {
  const shared = runIntersection(detection, truth);
  const area = runArea(detection);
  const whole = crowd ? area : area + runArea(truth) - shared;
  return whole === 0 ? 0 : shared / whole;
}

/** IoU of boxes [x, y, width, height]; of a crowd as for masks. */
export function boxIou(
  detection: readonly number[],
  truth: readonly number[],
  crowd: boolean,
): number {
  const [ax, ay, aw, ah] = detection as [number, number, number, number];
  const [bx, by, bw, bh] = truth as [number, number, number, number];
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  const shared = width > 0 && height > 0 ? width * height : 0;
  const whole = crowd ? aw * ah : aw * ah + bw * bh - shared;
  return whole === 0 ? 0 : shared / whole;
}
