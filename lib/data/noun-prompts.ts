/** Captions, or their nouns in prompts, as texts to learn from (PACL, arXiv 2212.04994, app. A.2.2). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from '../binaries.js';
import { fillTemplate } from '../text/classes.js';
import { openNounFinder } from '../text/nouns.js';
import type { Random } from './random.js';

/** One text of a caption, at random. */
export type TextOf = (caption: string, random: Random) => string;

/**
 * The caption itself or one of its nouns in one of CLIP's seven templates for ImageNet: all as
 * probable.
 *
 * @throws LexisegError `ERR_UNSUPPORTED` when the tagger that finds nouns is not installed.
 */
export async function openNounPrompts(): Promise<TextOf> {
  const nounsOf = await openNounFinder();
  const path = join(packageFolder, 'models', 'vocabularies', 'templates_imagenet_7.json');
  const { templates } = JSON.parse(readFileSync(path, 'utf8')) as { templates: string[] };
  return (caption, random) => {
    const nouns = nounsOf(caption);
    const noun = nouns[random.below(nouns.length + 1)];
    if (noun === undefined) return caption;
    return fillTemplate(templates[random.below(templates.length)] as string, noun);
  };
}
