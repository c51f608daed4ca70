/** Tells two versions of a vocabulary apart by what is in them. */
import { createHash } from 'node:crypto';
import type { VocabularyClass } from './classes.js';

/** SHA-256, 64 hex digits, of the words of each class in order; of names, things and colours nothing. */
export function wordsSha256(classes: readonly Pick<VocabularyClass, 'synonyms'>[]): string {
  const words = classes.map(({ synonyms }) => synonyms);
  return createHash('sha256').update(JSON.stringify(words)).digest('hex');
}
