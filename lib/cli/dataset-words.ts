/** The words that the classes of a data set are looked for by. */
import { classInputs } from '../evaluation/class-inputs.js';
import type { ClassDefinition, SegmentationDataset } from '../index.js';

/** With synonyms, or names alone. */
export type Naming = 'engineered' | 'plain';

/** Those of a vocabulary, or the data's own, and what a report calls them. */
export async function wordsFor(
  dataset: Pick<SegmentationDataset, 'name' | 'classes'>,
  vocab: string | undefined,
  naming: Naming,
): Promise<{ name: string; classes: readonly ClassDefinition[] }> {
  if (vocab !== undefined) {
    const { readVocabulary } = await import('../index.js');
    return readVocabulary(vocab, naming);
  }
  const own = classInputs(dataset, undefined);
  const byName = ({ name, synonyms, thing }: ClassDefinition): ClassDefinition => ({
    name,
    // What was trained by words that are left out was trained all the same.
    knownAs: synonyms,
    thing,
  });
  const classes = naming === 'plain' ? own.map(byName) : own;
  return { name: `names of ${dataset.name} (${naming} names)`, classes };
}
