/** Images → scores of every place → results, for bundles that score places and not masks. */
import type { BundleLabel } from '../bundle.js';
import { checkGiven, type Shape } from '../bundle-contract.js';
import { LexisegError } from '../errors.js';
import type { Frame, GridFrame } from '../frame.js';
import type { DecodedImage } from '../image.js';
import { runJob } from '../job.js';
import type { Manifest } from '../manifest.js';
import { type NativeJob, type NativeTensor, native } from '../native.js';
import type { NativeModel } from '../native-model.js';
import { LIMITS, type Size } from '../options.js';
import { HeatMap, spread } from '../results/heat-map.js';
import { type SemanticSegmentation, semanticSegmentation } from '../results/semantic.js';
import { Vocabulary } from '../vocabulary.js';
import { float32OnHost } from './host-numbers.js';
import { stackImages } from './image-batch.js';
import { readArea, readSize } from './network-size.js';
import type { SegmentPlan } from './segment-options.js';

/** Values of places on a grid, [B, N, h, w]. */
export interface PlaceScores extends GridFrame {
  readonly scores: NativeTensor;
}

/**
 * Patches of one image: numbers of its own, nothing to dispose. `networkSize` is that of their grid;
 * less than a patch of the resized image may lie outside it.
 */
export interface PatchEmbeddings extends Frame {
  /** Size of the upright image, pixels. */
  readonly imageSize: Size;
  readonly rows: number;
  readonly columns: number;
  /** float32 [rows × columns × W], as the frozen tower leaves them. */
  readonly tokens: Float32Array;
  /** float32 [rows × columns × D], unit norm, in the space of texts. */
  readonly embeddings: Float32Array;
}

/** A method, what it gives first, and how to read what follows. */
interface Asked<Where> {
  readonly method: string;
  readonly shapes: readonly Shape[];
  readonly readWhere: (tensor: NativeTensor) => Promise<Where>;
}

/** The dense stages of one loaded bundle. */
export class DenseStages {
  readonly #model: NativeModel;
  readonly #manifest: Manifest;
  readonly #label: BundleLabel;

  constructor(parts: { model: NativeModel; manifest: Manifest; label: BundleLabel }) {
    this.#model = parts.model;
    this.#manifest = parts.manifest;
    this.#label = parts.label;
  }

  /** Segmentations of images of one size, in their order. */
  async segment(
    images: readonly DecodedImage[],
    vocabulary: Vocabulary,
    plan: SegmentPlan,
  ): Promise<SemanticSegmentation[]> {
    const { classEmbeddings, synonymCounts } = Vocabulary.tensorsOf(vocabulary);
    const { scores, area, validSize } = await this.#places(
      'segment_dense',
      vocabulary.length,
      images,
      plan.signal,
      (job, input) => this.#model.segmentDense(job, input, classEmbeddings, synonymCounts),
    );
    const results: SemanticSegmentation[] = [];
    try {
      for (const [row, image] of images.entries()) {
        const size = plan.outputSize ?? { width: image.width, height: image.height };
        const maps = await runJob(plan.signal, (job) =>
          native().denseLabelMap(
            job,
            scores,
            row,
            [area.top, area.left, area.height, area.width],
            [validSize.height, validSize.width, size.height, size.width],
            plan.mostEntropy,
          ),
        );
        const parts = { ...size, classes: vocabulary.classes, bundle: this.#label, image };
        results.push(await semanticSegmentation(parts, maps, plan.signal));
      }
      return results;
    } catch (error) {
      for (const result of results) result.dispose();
      throw error;
    } finally {
      scores.dispose();
    }
  }

  /** One map for each class: the largest cosine of its synonyms at each place. */
  async heatMaps(
    image: DecodedImage,
    vocabulary: Vocabulary,
    signal: AbortSignal | undefined,
  ): Promise<HeatMap[]> {
    const { classEmbeddings } = Vocabulary.tensorsOf(vocabulary);
    checkMapBytes(image, vocabulary.length);
    const { scores, ...frame } = await this.#places(
      'patch_similarity',
      vocabulary.classes.reduce((total, { synonyms }) => total + synonyms.length, 0),
      [image],
      signal,
      (job, input) => this.#model.patchSimilarity(job, input, classEmbeddings),
    );
    try {
      const [, , height = 0, width = 0] = scores.shape;
      const cosines = await float32OnHost(scores, signal);
      const maps: HeatMap[] = [];
      let row = 0;
      for (const { name, synonyms } of vocabulary.classes) {
        const values = new Float32Array(width * height).fill(-Infinity);
        for (const end = row + synonyms.length; row < end; row++) {
          const own = cosines.subarray(row * values.length, (row + 1) * values.length);
          own.forEach((value, at) => {
            values[at] = Math.max(values[at] as number, value);
          });
        }
        const grid = { ...frame, values, width, height };
        maps.push(new HeatMap(name, await spread(grid, image, signal), image));
      }
      return maps;
    } finally {
      scores.dispose();
    }
  }

  /** Class logits of images of one size: float32 [B, K]. */
  async classifyImages(
    images: readonly DecodedImage[],
    vocabulary: Vocabulary,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    this.#need('classify_image');
    const { classEmbeddings, synonymCounts } = Vocabulary.tensorsOf(vocabulary);
    const input = stackImages(images);
    try {
      const logits = await runJob(signal, (job) =>
        this.#model.classifyImages(job, input, classEmbeddings, synonymCounts),
      );
      try {
        checkGiven('classify_image', [logits], [[images.length, vocabulary.length]]);
        return await float32OnHost(logits, signal);
      } finally {
        logits.dispose();
      }
    } finally {
      input.dispose();
    }
  }

  /** Patches of one image on the tower's own grid. */
  async encodePatches(
    image: DecodedImage,
    signal: AbortSignal | undefined,
  ): Promise<PatchEmbeddings> {
    const { values, where, validSize } = await this.#run(
      {
        method: 'encode_patches',
        shapes: [
          [1, 'h', 'w', 'W'],
          [1, 'h', 'w', this.#manifest.embeddingDim],
        ],
        readWhere: (tensor) => readSize(tensor, 'network_size', signal),
      },
      [image],
      signal,
      (job, input) => this.#model.encodePatches(job, input),
    );
    const [tokens, embeddings] = values as [NativeTensor, NativeTensor];
    try {
      const [, rows = 0, columns = 0] = tokens.shape;
      return {
        rows,
        columns,
        tokens: await float32OnHost(tokens, signal),
        embeddings: await float32OnHost(embeddings, signal),
        imageSize: { width: image.width, height: image.height },
        networkSize: where,
        validSize,
      };
    } finally {
      for (const tensor of values) tensor.dispose();
    }
  }

  /** `rows` maps of scores for each image. */
  async #places(
    method: string,
    rows: number,
    images: readonly DecodedImage[],
    signal: AbortSignal | undefined,
    run: (job: NativeJob, input: NativeTensor) => Promise<NativeTensor[]>,
  ): Promise<PlaceScores> {
    const shapes = [[images.length, rows, 'h', 'w']];
    const readWhere = (tensor: NativeTensor) => readArea(tensor, signal);
    const asked = { method, shapes, readWhere };
    const { values, where, validSize } = await this.#run(asked, images, signal, run);
    return { scores: values[0] as NativeTensor, area: where, validSize };
  }

  /** Tensors of these shapes from a method that also says where they lie in its input. */
  async #run<Where>(
    { method, shapes, readWhere }: Asked<Where>,
    images: readonly DecodedImage[],
    signal: AbortSignal | undefined,
    run: (job: NativeJob, input: NativeTensor) => Promise<NativeTensor[]>,
  ): Promise<{ values: readonly NativeTensor[]; where: Where; validSize: Size }> {
    this.#need(method);
    const input = stackImages(images);
    let tensors: NativeTensor[] = [];
    try {
      tensors = await runJob(signal, (job) => run(job, input));
      const count = shapes.length;
      if (tensors.length !== count + 2) {
        const said = `${method} gave ${tensors.length} tensors, not ${count + 2}`;
        throw new LexisegError('ERR_BUNDLE_CONTRACT', said);
      }
      checkGiven(method, tensors.slice(0, count), shapes);
      const [place, valid] = tensors.slice(count) as [NativeTensor, NativeTensor];
      const where = await readWhere(place);
      const validSize = await readSize(valid, 'valid_size', signal);
      place.dispose();
      valid.dispose();
      return { values: tensors.slice(0, count), where, validSize };
    } catch (error) {
      for (const tensor of tensors) tensor.dispose();
      throw error;
    } finally {
      input.dispose();
    }
  }

  #need(method: string): void {
    const { methods } = this.#manifest;
    if (methods.includes(method)) return;
    throw new LexisegError('ERR_UNSUPPORTED', `The bundle has no ${method}`, {
      details: { methods },
    });
  }
}

/** Refused before the network runs, which would be for nothing. */
function checkMapBytes({ width, height }: DecodedImage, count: number): void {
  const bytes = 4 * width * height;
  if (count * bytes <= LIMITS.heatMapBytes) return;
  throw new LexisegError(
    'ERR_OUT_OF_MEMORY',
    `${count} heat maps of ${width} × ${height} pixels take ${count * bytes} bytes, and ` +
      `${LIMITS.heatMapBytes} are allowed: ask for fewer words at a time, or give a smaller image`,
    { details: { count, width, height, limit: LIMITS.heatMapBytes } },
  );
}
