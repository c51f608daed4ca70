/** Panoptic quality by counting pixels. */
import type { Truth } from '../../lib/index.js';

/** The definition of specs/evaluation.md word by word, counting pixels anew for every pair. */
export function countByLoop(
  map: Int32Array,
  found: readonly number[],
  truth: Truth,
  classIndex: number,
) {
  const pixels = (test: (at: number) => boolean): number => {
    let count = 0;
    for (let at = 0; at < map.length; at++) if (test(at)) count++;
    return count;
  };
  const isVoid = (at: number) => !truth.segments.some(({ id }) => id === truth.ids[at]);
  const matchedTruth = new Set<number>();
  let iouSum = 0;
  let falsePositives = 0;
  for (const [index, predictedClass] of found.entries()) {
    const id = index + 1;
    if (predictedClass !== classIndex) continue;
    const area = pixels((at) => map[at] === id);
    if (area === 0) continue;
    let matched = false;
    for (const segment of truth.segments) {
      if (segment.crowd || segment.classIndex !== classIndex) continue;
      const both = pixels((at) => map[at] === id && truth.ids[at] === segment.id);
      const whole = pixels((at) => truth.ids[at] === segment.id);
      const inVoid = pixels((at) => map[at] === id && isVoid(at));
      const iou = both / (area + whole - both - inVoid);
      if (iou <= 0.5) continue;
      iouSum += iou;
      matchedTruth.add(segment.id);
      matched = true;
    }
    const crowds = truth.segments.filter((one) => one.crowd && one.classIndex === classIndex);
    const excused = pixels(
      (at) => map[at] === id && (isVoid(at) || crowds.some((one) => one.id === truth.ids[at])),
    );
    if (!matched && excused / area <= 0.5) falsePositives++;
  }
  const falseNegatives = truth.segments.filter(
    (one) => !one.crowd && one.classIndex === classIndex && !matchedTruth.has(one.id),
  ).length;
  return { iouSum, truePositives: matchedTruth.size, falsePositives, falseNegatives };
}
