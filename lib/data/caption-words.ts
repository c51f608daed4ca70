/** What captions name in images that also have masks, for losses that compare regions with words. */
import { resolve } from 'node:path';
import { openNounFinder } from '../text/nouns.js';
import type { ClipTokenizer } from '../text/tokenizer.js';
import { captionFile } from './caption-files.js';
import type { Random } from './random.js';
import { onePass } from './sample-stream.js';

/** Share of a caption's nouns that a step leaves out, and how many it takes at most. */
const LEFT_OUT = 0.25;
const MOST_WORDS = 5;

/** Words for the images of a data set. */
export interface CaptionWords {
  /** Whether an image has a caption, by its path. */
  has(path: string): boolean;
  /**
   * Token ids of nouns of one of the image's captions, drawn anew for each step; none for an image
   * without a caption.
   */
  draw(path: string, random: Random): readonly (readonly number[])[];
}

/**
 * Captions of a `.jsonl`, `.csv` or `.tsv` file, for `panopticData`: those of images that it does not
 * name are no fault.
 *
 * @throws LexisegError `ERR_DATA` with file and line for what cannot be read, `ERR_UNSUPPORTED` when
 *   the tagger of nouns is not installed.
 */
export async function openCaptionWords(
  path: string,
  tokenizer: ClipTokenizer,
): Promise<CaptionWords> {
  const source = await captionFile(path);
  const nounsOf = await openNounFinder();
  const captions = new Map<string, readonly string[]>();
  for await (const sample of onePass(source)) {
    if (typeof sample.image === 'string') captions.set(resolve(sample.image), sample.captions);
  }
  const draw = (image: string, random: Random) => {
    const own = captions.get(resolve(image));
    if (own === undefined) return [];
    const nouns = nounsOf(own[random.below(own.length)] as string);
    const order = [...random.permutation(nouns.length)].map((index) => nouns[index] as string);
    const kept = order.filter(() => !random.chance(LEFT_OUT));
    // A caption that names something keeps a word of it.
    const words = kept.length === 0 ? order.slice(0, 1) : kept.slice(0, MOST_WORDS);
    return words.map((word) => tokenizer.encode(word));
  };
  return { has: (image) => captions.has(resolve(image)), draw };
}
