/** A data set of some of another's classes. */
import type { SegmentationDataset, Truth } from './segmentation-dataset.js';

/** Segments of classes that are not kept become void; the others keep their order. */
export function ofClasses(
  dataset: SegmentationDataset,
  kept: readonly number[],
): SegmentationDataset {
  const placeOf = new Map(kept.map((old, place) => [old, place]));
  const { classesOf } = dataset;
  return {
    ...dataset,
    classes: dataset.classes.filter((_, index) => placeOf.has(index)),
    classesOf:
      classesOf &&
      ((index) => classesOf(index).flatMap((classIndex) => placeOf.get(classIndex) ?? [])),
    truth: async (index, onProblem) => reduced(await dataset.truth(index, onProblem), placeOf),
  };
}

function reduced(truth: Truth, placeOf: ReadonlyMap<number, number>): Truth {
  const among = <Item extends { readonly classIndex: number }>(items: readonly Item[]): Item[] =>
    items.flatMap((item) => {
      const classIndex = placeOf.get(item.classIndex);
      return classIndex === undefined ? [] : [{ ...item, classIndex }];
    });
  const segments = among(truth.segments);
  const known = new Set(segments.map(({ id }) => id));
  const places = (indices: readonly number[]): number[] =>
    indices.flatMap((index) => placeOf.get(index) ?? []);
  const { coverage } = truth;
  return {
    ...truth,
    ...(coverage && {
      coverage: { absent: places(coverage.absent), partial: places(coverage.partial) },
    }),
    segments,
    ids: truth.ids.map((id) => (known.has(id) ? id : 0)),
    ...(truth.objects === undefined ? {} : { objects: among(truth.objects) }),
  };
}
