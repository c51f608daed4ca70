/** Classes of published data sets, as the vocabularies of the package name them. */
import { readVocabulary } from '../text/vocabulary-file.js';
import type { DatasetClass } from './segmentation-dataset.js';

/** In the order of the vocabulary; a class is a thing where it does not say. */
export const classesOfVocabulary = (vocabulary: string): DatasetClass[] =>
  readVocabulary(vocabulary).classes.map(({ name, synonyms = [], thing = true }) => ({
    name,
    synonyms,
    thing,
  }));
