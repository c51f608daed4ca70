/** How often whole images are given their class, by words alone (PACL, arXiv 2212.04994, sec. 4). */
import type { ImageFolders } from '../data/image-folders.js';
import { LexisegError } from '../errors.js';
import { checkCallback, checkOptions } from '../options.js';
import type { Segmenter } from '../segmenter.js';
import { classInputs, WORDED_KEYS, type WordedOptions } from './class-inputs.js';
import { type ReportFacts, reportFacts } from './report-facts.js';

/** Names of classes are by default those of their folders. */
export type ImageClassOptions = WordedOptions;

/** Shares are in [0, 1]; NaN where a class has no image. */
export interface ImageClassReport extends ReportFacts {
  readonly images: number;
  /** Share of images whose most probable class is theirs. */
  readonly top1: number;
  /** Share of images whose class is among the five most probable. */
  readonly top5: number;
  readonly perClass: readonly {
    readonly name: string;
    readonly images: number;
    readonly top1: number;
    readonly top5: number;
  }[];
}

/** Images that are classified before progress is told. */
const STRIDE = 64;

/**
 * Top-1 and top-5 accuracy of a bundle on images of single classes; images of equal size run together.
 *
 * @throws LexisegError `ERR_UNSUPPORTED` for a bundle without `classify_image`, `ERR_VOCABULARY` for a
 *   vocabulary of another size than the data's, `ERR_IMAGE_*` for an image that cannot be read.
 */
export async function evaluateImages(
  segmenter: Segmenter,
  dataset: ImageFolders,
  options: ImageClassOptions = {},
): Promise<ImageClassReport> {
  checkOptions(options, WORDED_KEYS, 'options');
  checkCallback(options.onProgress, 'options.onProgress');
  const { signal, templates } = options;
  const { images } = dataset;
  const { methods } = segmenter.manifest;
  if (!methods.includes('classify_image')) {
    throw new LexisegError('ERR_UNSUPPORTED', 'The bundle classifies no whole images', {
      details: { methods },
    });
  }
  const vocabulary = await segmenter.createVocabulary(classInputs(dataset, options.vocabulary), {
    templates,
    duplicates: 'keep',
    signal,
  });
  try {
    const tallies = vocabulary.classes.map(({ name }) => ({ name, images: 0, top1: 0, top5: 0 }));
    for (let start = 0; start < images.length; start += STRIDE) {
      const some = images.slice(start, start + STRIDE);
      const paths = some.map(({ path }) => path);
      const results = await segmenter.classifyImages(paths, vocabulary, { signal });
      for (const [i, { classIndex }] of some.entries()) {
        const tally = tallies[classIndex];
        const best = results[i]?.ranked(5) ?? [];
        if (tally === undefined) continue;
        tally.images++;
        if (best[0]?.classIndex === classIndex) tally.top1++;
        if (best.some((one) => one.classIndex === classIndex)) tally.top5++;
      }
      options.onProgress?.({ done: start + some.length, total: images.length });
    }
    const share = (key: 'top1' | 'top5'): number =>
      tallies.reduce((sum, tally) => sum + tally[key], 0) / images.length;
    return {
      ...reportFacts(segmenter, dataset, vocabulary, options.vocabularyName),
      images: images.length,
      top1: share('top1'),
      top5: share('top5'),
      perClass: tallies.map(({ top1, top5, ...tally }) => ({
        ...tally,
        top1: top1 / tally.images,
        top5: top5 / tally.images,
      })),
    };
  } finally {
    vocabulary.dispose();
  }
}
