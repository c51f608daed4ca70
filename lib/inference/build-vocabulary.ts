/** Classes as a user writes them → a vocabulary with embeddings. */
import { throwIfAborted } from '../job.js';
import type { Manifest } from '../manifest.js';
import {
  checkCallback,
  checkOptions,
  DEFAULTS,
  oneOf,
  type VocabularyOptions,
} from '../options.js';
import { parseClasses } from '../text/classes.js';
import type { TextEncoder } from '../text/text-encoder.js';
import { type ClassInput, Vocabulary } from '../vocabulary.js';

/** @throws LexisegError `ERR_VOCABULARY` that names the class which cannot be used. */
export async function buildVocabulary(
  encoder: TextEncoder,
  manifest: Manifest,
  classes: readonly ClassInput[],
  options: VocabularyOptions,
): Promise<Vocabulary> {
  checkOptions(options, ['templates', 'duplicates', 'signal', 'onProgress'], 'options');
  const { signal, onProgress } = options;
  checkCallback(onProgress, 'options.onProgress');
  throwIfAborted(signal);
  const parsed = parseClasses(classes, {
    trainingClasses: manifest.trainingClasses,
    bundleTemplates: manifest.promptTemplates,
    templates: options.templates ?? DEFAULTS.templates,
    duplicates: oneOf(
      options.duplicates ?? DEFAULTS.duplicates,
      ['refuse', 'keep'],
      'options.duplicates',
    ),
  });
  const synonyms = parsed.flatMap(({ synonyms: names, templates }) =>
    names.map((synonym) => ({ synonym, templates })),
  );
  const embeddings = await encoder.classEmbeddings(synonyms, { signal, onProgress });
  return new Vocabulary(parsed, embeddings, manifest.weights.sha256);
}
