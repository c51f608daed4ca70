/** The words that the classes of a data set are looked for by. */
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
  const classes = dataset.classes.map(({ name, synonyms, thing }) => ({
    name,
    thing,
    ...(naming === 'engineered' ? { synonyms } : {}),
  }));
  return { name: `names of ${dataset.name} (${naming} names)`, classes };
}
