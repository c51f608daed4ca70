/** Images → proposals → classification → segmentations, in batches of images of equal size. */
import type { BundleLabel } from '../bundle.js';
import { expected, LexisegError } from '../errors.js';
import { type DecodedImage, type DecodeOptions, decodeImage, type ImageInput } from '../image.js';
import { runJob } from '../job.js';
import type { Manifest } from '../manifest.js';
import type { NativeModel } from '../native-model.js';
import { type Classification, Proposals } from '../proposals.js';
import type { HeatMap } from '../results/heat-map.js';
import { ImageClassification } from '../results/image-classification.js';
import type { Segmentation } from '../results/segmentation.js';
import { Vocabulary } from '../vocabulary.js';
import { composeSegmentation } from './compose.js';
import { DenseStages, type PatchEmbeddings } from './dense.js';
import { type BatchPlan, batchesOfEqualSize, decodedWindows, stackImages } from './image-batch.js';
import { MaskStages } from './masks.js';
import { checkCompetition, type SegmentPlan } from './segment-options.js';

/** How long one stage took. */
export interface StageTime {
  readonly stage: string;
  readonly milliseconds: number;
}

/** The stages of one loaded bundle. */
export class Pipeline {
  readonly #model: NativeModel;
  readonly #manifest: Manifest;
  readonly #label: BundleLabel;
  readonly #dense: DenseStages;
  readonly #masks: MaskStages;
  readonly #masksFrom: Pipeline | undefined;

  /** With `masksFrom` the masks are those that another bundle proposes. */
  constructor(parts: {
    model: NativeModel;
    manifest: Manifest;
    label: BundleLabel;
    masksFrom?: Pipeline | undefined;
  }) {
    this.#model = parts.model;
    this.#manifest = parts.manifest;
    this.#label = parts.label;
    this.#dense = new DenseStages(parts);
    this.#masks = new MaskStages(parts);
    this.#masksFrom = parts.masksFrom;
    if (this.#masksFrom !== undefined) this.#masks.checkEmbeds();
  }

  async propose(input: ImageInput, options: DecodeOptions): Promise<Proposals> {
    const image = await decodeImage(input, options);
    return this.#propose([image], options.signal);
  }

  /** In the order of the inputs. Those made are disposed when a later one fails. */
  async proposeAll(inputs: readonly ImageInput[], options: DecodeOptions): Promise<Proposals[]> {
    const all: Proposals[] = [];
    try {
      for (const input of inputs) all.push(await this.propose(input, options));
      return all;
    } catch (error) {
      for (const proposals of all) proposals.dispose();
      throw error;
    }
  }

  /** The masks of proposals that another bundle made, with this one's embeddings. */
  embedMasks(proposals: Proposals, signal: AbortSignal | undefined): Promise<Proposals> {
    return this.#masks.embed(proposals, signal);
  }

  async classify(
    proposals: Proposals,
    vocabulary: Vocabulary,
    signal: AbortSignal | undefined,
  ): Promise<Classification> {
    if (!(proposals instanceof Proposals)) throw expected('Proposals', 'proposals', proposals);
    this.#checkVocabulary(vocabulary);
    this.#checkOrigin(proposals, 'proposals');
    return this.#masks.classify(proposals, vocabulary, signal);
  }

  /** Results in the order of the inputs. Those finished are disposed when a later one fails. */
  async segment<Result extends Segmentation>(
    inputs: readonly (ImageInput | Proposals)[],
    vocabulary: Vocabulary,
    plan: SegmentPlan,
  ): Promise<Result[]> {
    checkCompetition(plan, vocabulary.length);
    const results = new Array<Segmentation>(inputs.length);
    let done = 0;
    const finish = (index: number, segmentation: Segmentation): void => {
      results[index] = segmentation;
      done += 1;
      plan.onProgress?.({ done, total: inputs.length });
    };
    try {
      for await (const { start, end, slots } of decodedWindows(inputs, plan)) {
        for (let index = start; index < end; index++) {
          const input = inputs[index];
          if (input instanceof Proposals) {
            const [segmentation] = await this.#segmentProposals(input, vocabulary, plan);
            finish(index, segmentation as Segmentation);
          }
        }
        for (const batch of batchesOfEqualSize(slots, plan.batchSize)) {
          const images = batch.map(({ image }) => image);
          const segmentations = await this.#segmentBatch(images, vocabulary, plan);
          batch.forEach(({ index }, row) => {
            finish(index, segmentations[row] as Segmentation);
          });
        }
      }
    } catch (error) {
      for (const segmentation of results) segmentation?.dispose();
      throw error;
    }
    return results as Result[];
  }

  async encodePatches(
    input: ImageInput,
    signal: AbortSignal | undefined,
  ): Promise<PatchEmbeddings> {
    return this.#dense.encodePatches(await decodeImage(input, { signal, copy: 'auto' }), signal);
  }

  /** Results in the order of the inputs. */
  async classifyImages(
    inputs: readonly ImageInput[],
    vocabulary: Vocabulary,
    plan: BatchPlan,
  ): Promise<ImageClassification[]> {
    this.#checkVocabulary(vocabulary);
    const results = new Array<ImageClassification>(inputs.length);
    for await (const { slots } of decodedWindows(inputs, plan)) {
      for (const batch of batchesOfEqualSize(slots, plan.batchSize)) {
        const images = batch.map(({ image }) => image);
        const logits = await this.#dense.classifyImages(images, vocabulary, plan.signal);
        const count = vocabulary.length;
        batch.forEach(({ index }, row) => {
          const own = logits.subarray(row * count, (row + 1) * count);
          results[index] = new ImageClassification(vocabulary.classes, own);
        });
      }
    }
    return results;
  }

  /** One map for each class. */
  async heatMaps(
    input: ImageInput,
    vocabulary: Vocabulary,
    signal: AbortSignal | undefined,
  ): Promise<HeatMap[]> {
    this.#checkVocabulary(vocabulary);
    const image = await decodeImage(input, { signal, copy: 'auto' });
    return this.#dense.heatMaps(image, vocabulary, signal);
  }

  async profile(
    input: ImageInput,
    vocabulary: Vocabulary,
    plan: SegmentPlan,
  ): Promise<StageTime[]> {
    const times: StageTime[] = [];
    const timed = async <T>(stage: string, work: () => Promise<T>): Promise<T> => {
      const started = performance.now();
      const result = await work();
      times.push({ stage, milliseconds: performance.now() - started });
      return result;
    };
    const image = await timed('decode', () => decodeImage(input, plan));
    if (plan.dense) {
      this.#checkVocabulary(vocabulary);
      const work = () => this.#dense.segment([image], vocabulary, plan);
      for (const result of await timed('dense_segmentation', work)) result.dispose();
      return times;
    }
    const tensor = stackImages([image]);
    try {
      const stages = await runJob(plan.signal, (job) =>
        this.#model.profile(job, tensor, this.#manifest.stages),
      );
      times.push(...stages.map((time) => ({ ...time, stage: time.stage.replace(/^stage_/, '') })));
    } finally {
      tensor.dispose();
    }
    const propose = () => this.#propose([image], plan.signal);
    const staged = this.#manifest.stages.length > 0;
    using proposals = await (staged ? propose() : timed('proposals', propose));
    using classification = await timed('classification', () =>
      this.classify(proposals, vocabulary, plan.signal),
    );
    const result = await timed('post_processing', () =>
      this.#compose(classification, proposals, 0, plan),
    );
    result.dispose();
    return times;
  }

  async #segmentBatch(
    images: readonly DecodedImage[],
    vocabulary: Vocabulary,
    plan: SegmentPlan,
  ): Promise<Segmentation[]> {
    if (plan.dense) {
      this.#checkVocabulary(vocabulary);
      return this.#dense.segment(images, vocabulary, plan);
    }
    using proposals = await this.#propose(images, plan.signal);
    return await this.#segmentProposals(proposals, vocabulary, plan);
  }

  async #segmentProposals(
    proposals: Proposals,
    vocabulary: Vocabulary,
    plan: SegmentPlan,
  ): Promise<Segmentation[]> {
    using classification = await this.classify(proposals, vocabulary, plan.signal);
    const results: Segmentation[] = [];
    try {
      for (let row = 0; row < proposals.batchSize; row++) {
        results.push(await this.#compose(classification, proposals, row, plan));
      }
    } catch (error) {
      for (const segmentation of results) segmentation.dispose();
      throw error;
    }
    return results;
  }

  #compose(
    classification: Classification,
    proposals: Proposals,
    row: number,
    plan: SegmentPlan,
  ): Promise<Segmentation> {
    return composeSegmentation({ classification, proposals, row, plan, label: this.#label });
  }

  async #propose(
    images: readonly DecodedImage[],
    signal: AbortSignal | undefined,
  ): Promise<Proposals> {
    if (this.#masksFrom === undefined) return this.#masks.propose(images, signal);
    using masks = await this.#masksFrom.#propose(images, signal);
    return await this.#masks.embed(masks, signal);
  }

  #checkVocabulary(vocabulary: Vocabulary): void {
    if (!(vocabulary instanceof Vocabulary))
      throw expected('a Vocabulary', 'vocabulary', vocabulary);
    this.#checkOrigin(vocabulary, 'vocabulary');
  }

  #checkOrigin(made: { readonly weightsSha256: string }, name: string): void {
    if (made.weightsSha256 === this.#manifest.weights.sha256) return;
    throw new LexisegError('ERR_ARGUMENT', `The ${name} were made by another bundle`, {
      details: { expected: this.#manifest.weights.sha256, received: made.weightsSha256 },
    });
  }
}
