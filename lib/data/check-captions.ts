/** Looks at every caption and image of image–text data and lists what is wrong. */
import { availableParallelism } from 'node:os';
import { throwIfAborted } from '../job.js';
import { type CallOptions, checkCallback, checkOptions, type Progress } from '../options.js';
import { decodedSize } from './decoded-size.js';
import { openCaptions } from './image-text.js';
import { ProblemList } from './problem-list.js';
import { mapAhead, onePass } from './sample-stream.js';

export interface CaptionCheckOptions extends CallOptions {
  /** Called after each image. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface CaptionCheck {
  readonly images: number;
  readonly captions: number;
  /** What is wrong, each with the file and the line, or with the shard and the sample. */
  readonly problems: readonly string[];
}

/**
 * Reads every line or sample of what `openCaptions` opens, and decodes every image.
 *
 * @throws LexisegError `ERR_DATA` only when there is nothing to look at.
 */
export async function checkCaptions(
  path: string,
  options: CaptionCheckOptions = {},
): Promise<CaptionCheck> {
  checkOptions(options, ['onProgress', 'signal'], 'options');
  checkCallback(options.onProgress, 'options.onProgress');
  const { onProgress, signal } = options;
  const { messages, note } = new ProblemList();
  const source = await openCaptions(path, note, signal);
  let captions = 0;
  let done = 0;
  const checks = mapAhead(onePass(source, signal), availableParallelism(), async (sample) => {
    captions += sample.captions.length;
    await decodedSize(sample.image, sample.name).catch(note);
  });
  for await (const _ of checks) {
    throwIfAborted(signal);
    onProgress?.({ done: ++done, total: source.size });
  }
  // A pass is in whatever order; a reader goes through a file by its lines.
  const { compare } = new Intl.Collator('en', { numeric: true });
  return { images: source.size, captions, problems: messages.toSorted(compare) };
}
