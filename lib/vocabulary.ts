/** A vocabulary: ordered classes with the embeddings of their synonyms, made by one bundle. */
import { LexisegError } from './errors.js';
import { callNative } from './job.js';
import { type NativeTensor, native } from './native.js';
import { Tensor } from './tensor.js';
import type { VocabularyClass } from './text/classes.js';

export type { ClassDefinition, ClassInput, VocabularyClass } from './text/classes.js';

/** What `classify_masks` needs of a vocabulary. */
export interface VocabularyTensors {
  /** float32 [S, D], unit rows. */
  readonly classEmbeddings: NativeTensor;
  /** int64 [K]. */
  readonly synonymCounts: NativeTensor;
  /** bool [K]. */
  readonly seen: NativeTensor;
}

/** Classes with their embeddings; usable with the bundle that made it, as often as you like. */
export class Vocabulary implements Disposable {
  readonly classes: readonly VocabularyClass[];
  readonly weightsSha256: string;
  readonly #tensors: VocabularyTensors;
  readonly #thing: Uint8Array;

  /** @internal */
  constructor(
    classes: readonly VocabularyClass[],
    embeddings: Float32Array,
    weightsSha256: string,
  ) {
    const synonymTotal = classes.reduce((total, { synonyms }) => total + synonyms.length, 0);
    const counts = BigInt64Array.from(classes, ({ synonyms }) => BigInt(synonyms.length));
    const seen = Uint8Array.from(classes, (item) => Number(item.seen));
    this.classes = Object.freeze(
      classes.map(({ index, name, synonyms, thing, seen: isSeen, color }) =>
        Object.freeze({
          index,
          name,
          synonyms,
          thing,
          seen: isSeen,
          ...(color === undefined ? {} : { color }),
        }),
      ),
    );
    this.weightsSha256 = weightsSha256;
    this.#thing = Uint8Array.from(classes, ({ thing }) => Number(thing));
    const shape = [synonymTotal, embeddings.length / synonymTotal];
    this.#tensors = callNative(() => ({
      classEmbeddings: native().copyTensor(embeddings, shape, 'float32'),
      synonymCounts: native().copyTensor(counts, [classes.length], 'int64'),
      seen: native().copyTensor(seen, [classes.length], 'bool'),
    }));
  }

  /** Number of classes. */
  get length(): number {
    return this.classes.length;
  }

  get disposed(): boolean {
    return this.#tensors.classEmbeddings.disposed;
  }

  /**
   * float32 [S, D], one unit row per synonym, classes in order. It is this vocabulary's own: to
   * dispose it is to dispose the vocabulary, and it ends with it.
   */
  get classEmbeddings(): Tensor {
    return Tensor.wrap(Vocabulary.tensorsOf(this).classEmbeddings);
  }

  dispose(): void {
    this.#tensors.classEmbeddings.dispose();
    this.#tensors.synonymCounts.dispose();
    this.#tensors.seen.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  static tensorsOf(vocabulary: Vocabulary): VocabularyTensors {
    if (vocabulary.disposed) {
      throw new LexisegError('ERR_DISPOSED', 'The vocabulary was used after dispose');
    }
    return vocabulary.#tensors;
  }

  /** @internal 1 for things, 0 for stuff. */
  static thingFlags(vocabulary: Vocabulary): Uint8Array {
    return vocabulary.#thing;
  }
}
