/** The objects of an image one by one, as masks in COCO run lengths. */
import { callNative } from '../job.js';
import { native } from '../native.js';
import type { ObjectMask, Truth } from './segmentation-dataset.js';

/** Objects as the data set gives them, or else its segments of thing classes. */
export function objectsOfTruth(
  truth: Truth,
  isThing: (classIndex: number) => boolean,
): readonly ObjectMask[] {
  if (truth.objects !== undefined) return truth.objects;
  const { width, height, ids } = truth;
  return truth.segments.flatMap(({ id, classIndex, crowd }) => {
    if (!isThing(classIndex)) return [];
    const mask = new Uint8Array(ids.length);
    let area = 0;
    for (let at = 0; at < ids.length; at++) {
      if (ids[at] !== id) continue;
      mask[at] = 1;
      area++;
    }
    if (area === 0) return [];
    const runs = callNative(() => native().rleEncode(mask, width, height));
    return [{ classIndex, crowd, runs, area }];
  });
}
