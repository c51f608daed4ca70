/** The classes a run trains on, with their embeddings. */
import type { Manifest, TrainingClass } from '../manifest.js';
import type { NativeTrainer } from '../native-trainer.js';
import { DEFAULTS } from '../options.js';
import { Tensor } from '../tensor.js';
import { type ClassInput, type ParsedClass, parseClasses } from '../text/classes.js';
import { EmbeddingCache } from '../text/embedding-cache.js';
import { TextEncoder } from '../text/text-encoder.js';
import type { ClipTokenizer } from '../text/tokenizer.js';

export interface TrainingVocabulary {
  readonly classes: readonly ParsedClass[];
  /** float32 [S, D], unit rows. */
  readonly classEmbeddings: Tensor;
  /** int64 [K]. */
  readonly synonymCounts: Tensor;
}

/** The text tower of a network in training. */
export function textEncoderInTraining(
  trainer: NativeTrainer,
  manifest: Manifest,
  tokenizer: ClipTokenizer,
): TextEncoder {
  const model = {
    info: () => ({ device: trainer.info().device, dtype: trainer.info().precision }),
    encodeText: trainer.encodeText.bind(trainer),
  };
  // A tower in training is another one after each step, so nothing may be kept on disk.
  const cache = new EmbeddingCache(false);
  return new TextEncoder({ model, manifest, tokenizer, cache, origin: 'in training' });
}

/** Embeds the classes once: the text tower never trains on masks. */
export async function embedVocabulary(
  classes: readonly ClassInput[],
  manifest: Manifest,
  encoder: TextEncoder,
  signal: AbortSignal | undefined,
): Promise<TrainingVocabulary> {
  const parsed = parseClasses(classes, {
    trainingClasses: manifest.trainingClasses,
    bundleTemplates: manifest.promptTemplates,
    templates: DEFAULTS.templates,
    // Data may call several of its classes by one name, as the 847 of ADE20K do; labels go by place.
    duplicates: 'keep',
  });
  const synonyms = parsed.flatMap(({ synonyms: names, templates }) =>
    names.map((synonym) => ({ synonym, templates })),
  );
  const rows = await encoder.classEmbeddings(synonyms, { signal });
  const counts = BigInt64Array.from(parsed, (item) => BigInt(item.synonyms.length));
  return {
    classes: parsed,
    classEmbeddings: Tensor.from(rows, [synonyms.length, manifest.embeddingDim]),
    synonymCounts: Tensor.from(counts, [parsed.length]),
  };
}

/** The classes as a manifest lists them; none for a run without a vocabulary. */
export function trainingClasses(
  vocabulary: TrainingVocabulary | undefined,
): TrainingClass[] | undefined {
  return vocabulary?.classes.map(({ name, synonyms, thing }) => ({ name, synonyms, thing }));
}
