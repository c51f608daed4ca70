/** The facade: a loaded bundle and everything that can be asked of it. */
import { type BundleLabel, labelBundle } from './bundle.js';
import { CallsInFlight } from './calls-in-flight.js';
import { expected } from './errors.js';
import type { ImageInput } from './image.js';
import { buildVocabulary } from './inference/build-vocabulary.js';
import type { PatchEmbeddings } from './inference/dense.js';
import { holdImages, holdInputs } from './inference/image-batch.js';
import { imageEmbeddings } from './inference/image-embeddings.js';
import { type OpenBundle, openBundle } from './inference/open-bundle.js';
import { Pipeline, type StageTime } from './inference/pipeline.js';
import { parseSegmentOptions } from './inference/segment-options.js';
import { callNative, throwIfAborted } from './job.js';
import { type LoadOptions, parseLoadOptions } from './load-options.js';
import type { Manifest } from './manifest.js';
import { type NativeMemoryStats, native } from './native.js';
import type { NativeModel, NativeModelInfo } from './native-model.js';
import {
  type CallOptions,
  checkOptions,
  DEFAULTS,
  type ImageBatchOptions,
  type ImageOptions,
  oneOf,
  type SegmentOptions,
  type Task,
  type VocabularyOptions,
} from './options.js';
import type { Classification, Proposals } from './proposals.js';
import type { HeatMap } from './results/heat-map.js';
import type { ImageClassification } from './results/image-classification.js';
import type { SegmentationOf } from './results/segmentation-of.js';
import { Tensor } from './tensor.js';
import { heldPrompts, type TextEncoder } from './text/text-encoder.js';
import { type ClassInput, Vocabulary } from './vocabulary.js';

/** What can be segmented: an image, or proposals made from one. */
export type SegmentInput = ImageInput | Proposals;

export interface SegmenterOptions extends LoadOptions {
  /**
   * Another bundle whose masks this one names, for bundles with `embed_masks`; the caller disposes
   * it. Let CLIP decide then (`ensemble`, alpha and beta 1): such masks have no embeddings of their own.
   */
  readonly masksFrom?: Segmenter | undefined;
}

/** A bundle in memory. Make one with {@link Segmenter.load}; dispose it when done. */
export class Segmenter implements AsyncDisposable {
  readonly manifest: Manifest;
  /** Absolute path of the bundle. */
  readonly path: string;
  /** How results name the bundle. */
  readonly label: BundleLabel;
  /** Device and dtype in use and why, weight bytes, exported methods. */
  readonly info: Readonly<NativeModelInfo>;
  readonly #model: NativeModel;
  readonly #encoder: TextEncoder;
  readonly #pipeline: Pipeline;
  readonly #calls: CallsInFlight;

  private constructor(
    { path, manifest, model, encoder }: OpenBundle,
    masksFrom: Segmenter | undefined,
  ) {
    this.path = path;
    this.manifest = manifest;
    this.label = labelBundle(path, manifest);
    this.#model = model;
    this.info = Object.freeze(callNative(() => model.info()));
    this.#encoder = encoder;
    const masks = masksFrom === undefined ? undefined : masksFrom.#pipeline;
    this.#pipeline = new Pipeline({ model, manifest, label: this.label, masksFrom: masks });
    const calls = masksFrom === undefined ? undefined : masksFrom.#calls;
    this.#calls = new CallsInFlight('The segmenter', calls);
  }

  /**
   * Loads the bundle at `path`, else the one of that name that comes with the package.
   *
   * @throws LexisegError `ERR_BUNDLE_*` when the file cannot be used, `ERR_DEVICE` when the device
   *   is not there, `ERR_LIBTORCH_*` and `ERR_NATIVE_*` when the engine cannot be loaded.
   */
  static async load(path: string, options: SegmenterOptions = {}): Promise<Segmenter> {
    const parsed = parseLoadOptions(options);
    const { masksFrom, signal } = options;
    if (masksFrom !== undefined && !(masksFrom instanceof Segmenter)) {
      throw expected('a Segmenter', 'options.masksFrom', masksFrom);
    }
    const parts = await openBundle(path, parsed, signal);
    try {
      return new Segmenter(parts, masksFrom);
    } catch (error) {
      await parts.model.dispose();
      throw error;
    }
  }

  get disposed(): boolean {
    return this.#calls.closed;
  }

  /** float32 [N, D] unit text embeddings of prompts, exactly as written: no template is added. */
  encodeText(prompts: string | readonly string[], options: CallOptions = {}): Promise<Tensor> {
    return this.#call(options, async (signal) => {
      const list = heldPrompts(prompts);
      const rows = await this.#encoder.textEmbeddings(list, { signal });
      return Tensor.from(rows, [list.length, this.manifest.embeddingDim]);
    });
  }

  /** float32 [N, D] unit embeddings of whole images, in the space of {@link encodeText}. */
  encodeImages(images: readonly ImageInput[], options: ImageBatchOptions = {}): Promise<Tensor> {
    return this.#calls.run(async () => {
      const { inputs, plan } = holdImages(images, options);
      const tower = { model: this.#model, manifest: this.manifest };
      const rows = await imageEmbeddings(tower, inputs, plan);
      return Tensor.from(rows, [inputs.length, this.manifest.embeddingDim]);
    });
  }

  /**
   * A vocabulary with its embeddings: computed once per synonym, then read from the cache.
   *
   * @throws LexisegError `ERR_VOCABULARY` that names the class which cannot be used.
   */
  createVocabulary(
    classes: readonly ClassInput[],
    options: VocabularyOptions = {},
  ): Promise<Vocabulary> {
    return this.#calls.run(() => this.#vocabularyOf(classes, options));
  }

  /** Masks and region embeddings; one image gives one, a list gives a list in the same order. */
  proposeMasks(image: ImageInput, options?: ImageOptions): Promise<Proposals>;
  proposeMasks(images: readonly ImageInput[], options?: ImageOptions): Promise<Proposals[]>;
  proposeMasks(
    images: ImageInput | readonly ImageInput[],
    options: ImageOptions = {},
  ): Promise<Proposals | Proposals[]> {
    return this.#calls.run(async () => {
      checkOptions(options, ['signal', 'copy'], 'options');
      const { signal, copy: copying = DEFAULTS.copy } = options;
      const decoding = { signal, copy: oneOf(copying, ['auto', 'never'], 'options.copy') };
      throwIfAborted(signal);
      if (!isList(images)) return this.#pipeline.propose(images, decoding);
      const held = holdInputs(images, decoding.copy, true);
      return this.#pipeline.proposeAll(held.inputs, { signal, copy: held.copy });
    });
  }

  /**
   * Masks that another bundle proposed, with this bundle's embeddings of what each cuts out; for
   * `embed_masks`. They have none of their own: let CLIP decide (`ensemble`, alpha and beta 1).
   */
  embedMasks(proposals: Proposals, options: CallOptions = {}): Promise<Proposals> {
    return this.#call(options, (signal) => this.#pipeline.embedMasks(proposals, signal));
  }

  /** Class log-probabilities of proposals under a vocabulary. */
  classifyMasks(
    proposals: Proposals,
    vocabulary: Vocabulary,
    options: CallOptions = {},
  ): Promise<Classification> {
    return this.#call(options, (signal) => this.#pipeline.classify(proposals, vocabulary, signal));
  }

  /**
   * Segments images (or proposals) with a vocabulary, or with plain classes whose embeddings are
   * then looked up for this call. One image gives one result, a list a list in the same order.
   * Bytes and pixels of a list are all copied at the call, unless `copy` says never; for a long
   * list, paths take less memory.
   */
  segment<Kind extends Task = (typeof DEFAULTS)['task']>(
    image: SegmentInput,
    vocabulary: Vocabulary | readonly ClassInput[],
    options?: SegmentOptions<Kind>,
  ): Promise<SegmentationOf[Kind]>;
  segment<Kind extends Task = (typeof DEFAULTS)['task']>(
    images: readonly SegmentInput[],
    vocabulary: Vocabulary | readonly ClassInput[],
    options?: SegmentOptions<Kind>,
  ): Promise<SegmentationOf[Kind][]>;
  segment(
    images: SegmentInput | readonly SegmentInput[],
    vocabulary: Vocabulary | readonly ClassInput[],
    options: SegmentOptions = {},
  ): Promise<SegmentationOf[Task] | SegmentationOf[Task][]> {
    return this.#calls.run(async () => {
      const plan = parseSegmentOptions(options, this.manifest, this.info.device);
      const { signal, templates } = options;
      throwIfAborted(signal);
      const given = vocabulary instanceof Vocabulary;
      const list = isList(images) ? images : [images];
      const { inputs, copy } = holdInputs(list, plan.copy, given);
      const used = given ? vocabulary : await this.#vocabularyOf(vocabulary, { signal, templates });
      try {
        const held = { ...plan, copy };
        const results = await this.#pipeline.segment<SegmentationOf[Task]>(inputs, used, held);
        return isList(images) ? results : (results[0] as SegmentationOf[Task]);
      } finally {
        if (!given) used.dispose();
      }
    });
  }

  /**
   * Which of the classes whole images show, by what each class's own pooling of patches says; for
   * bundles with `classify_image`.
   */
  classifyImages(
    images: readonly ImageInput[],
    vocabulary: Vocabulary,
    options: ImageBatchOptions = {},
  ): Promise<ImageClassification[]> {
    return this.#calls.run(async () => {
      const { inputs, plan } = holdImages(images, options);
      return this.#pipeline.classifyImages(inputs, vocabulary, plan);
    });
  }

  /**
   * How well each place of an image fits each class, a map per class (the largest of its synonyms);
   * for bundles with `patch_similarity`.
   *
   * @throws LexisegError `ERR_OUT_OF_MEMORY` where they would take more than 4 GiB, 4 bytes a pixel.
   */
  heatMaps(
    image: ImageInput,
    vocabulary: Vocabulary,
    options: CallOptions = {},
  ): Promise<HeatMap[]> {
    return this.#call(options, (signal) => this.#pipeline.heatMaps(image, vocabulary, signal));
  }

  /** Patches of an image as the tower leaves them and as they meet texts; for `encode_patches`. */
  encodePatches(image: ImageInput, options: CallOptions = {}): Promise<PatchEmbeddings> {
    return this.#call(options, (signal) => this.#pipeline.encodePatches(image, signal));
  }

  /**
   * Milliseconds by stage for one image: decode, the network's stages (`proposals` in one where a
   * bundle has none), classify, compose; `dense_segmentation` in one for bundles without masks.
   */
  profile(
    image: ImageInput,
    vocabulary: Vocabulary,
    options: SegmentOptions = {},
  ): Promise<StageTime[]> {
    return this.#calls.run(async () => {
      const plan = parseSegmentOptions(options, this.manifest, this.info.device);
      throwIfAborted(options.signal);
      return this.#pipeline.profile(image, vocabulary, plan);
    });
  }

  /** Bytes of tensors and weights, jobs, and memory of the process. */
  memoryStats(): NativeMemoryStats {
    return callNative(() => native().memoryStats());
  }

  /** @internal What `work` does with the pipeline, as one call. */
  static during<Result>(
    segmenter: Segmenter,
    work: (pipeline: Pipeline) => Promise<Result>,
  ): Promise<Result> {
    return segmenter.#calls.run(() => work(segmenter.#pipeline));
  }

  /** Refuses calls from now on, waits for those in flight, then frees the weights; idempotent. */
  dispose(): Promise<void> {
    return this.#calls.close(() => this.#model.dispose());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** A call that has no option but a signal. */
  #call<Result>(
    options: CallOptions,
    work: (signal: AbortSignal | undefined) => Promise<Result>,
  ): Promise<Result> {
    return this.#calls.run(async () => {
      checkOptions(options, ['signal'], 'options');
      throwIfAborted(options.signal);
      return work(options.signal);
    });
  }

  #vocabularyOf(classes: readonly ClassInput[], options: VocabularyOptions): Promise<Vocabulary> {
    return buildVocabulary(this.#encoder, this.manifest, classes, options);
  }
}

const isList = <T>(value: T | readonly T[]): value is readonly T[] => Array.isArray(value);
