/** What the network proposes for images of one size, before any vocabulary is known. */
import { LexisegError } from './errors.js';
import { type Frame, geometryTo } from './frame.js';
import type { DecodedImage } from './image.js';
import type { Geometry, NativeTensor } from './native.js';
import type { Size } from './options.js';
import { Tensor } from './tensor.js';
import type { Vocabulary } from './vocabulary.js';

/**
 * Masks and region embeddings of one image (or of a few images of one size), kept on the device.
 * Classify them with as many vocabularies as you like; dispose them when done.
 */
export class Proposals implements Disposable, Frame {
  /** Names of the tensors, in the order of the manifest. */
  readonly names: readonly string[];
  /** Size of the upright images, pixels. */
  readonly imageSize: Size;
  /** Padded size at which the network ran, pixels. */
  readonly networkSize: Size;
  /** The resized image inside the network input, top-left, pixels. */
  readonly validSize: Size;
  readonly weightsSha256: string;
  readonly #tensors: readonly NativeTensor[];
  readonly #images: readonly DecodedImage[];

  /** @internal */
  constructor(fields: {
    readonly names: readonly string[];
    readonly tensors: readonly NativeTensor[];
    readonly images: readonly DecodedImage[];
    readonly networkSize: Size;
    readonly validSize: Size;
    readonly weightsSha256: string;
  }) {
    const [first] = fields.images as readonly [DecodedImage];
    this.names = fields.names;
    this.#tensors = fields.tensors;
    this.#images = fields.images;
    this.imageSize = Object.freeze({ width: first.width, height: first.height });
    this.weightsSha256 = fields.weightsSha256;
    this.networkSize = fields.networkSize;
    this.validSize = fields.validSize;
  }

  get disposed(): boolean {
    return this.#tensors.some((tensor) => tensor.disposed);
  }

  /** Images in this batch; 1 for what `proposeMasks` returns. */
  get batchSize(): number {
    return this.#images.length;
  }

  /** Number of queries per image. */
  get queryCount(): number {
    return this.#named('mask_logits').shape[1] ?? 0;
  }

  /** float32 [B, Q, h, w] mask logits over the network input, before sigmoid; see {@link tensor}. */
  get maskLogits(): Tensor {
    return this.tensor('mask_logits');
  }

  /**
   * A tensor by its name in the manifest. It is these proposals' own: to dispose it is to dispose
   * them, and it ends with them.
   */
  tensor(name: string): Tensor {
    this.#checkAlive();
    return Tensor.wrap(this.#named(name));
  }

  /** Frees every tensor; idempotent. */
  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  static tensorsOf(proposals: Proposals): NativeTensor[] {
    proposals.#checkAlive();
    return [...proposals.#tensors];
  }

  /** @internal */
  static imagesOf(proposals: Proposals): readonly DecodedImage[] {
    return proposals.#images;
  }

  /** @internal */
  static geometryOf(proposals: Proposals, output: Size): Geometry {
    return geometryTo(proposals, output);
  }

  #checkAlive(): void {
    if (this.disposed) {
      throw new LexisegError('ERR_DISPOSED', 'The proposals were used after dispose');
    }
  }

  #named(name: string): NativeTensor {
    const tensor = this.#tensors[this.names.indexOf(name)];
    if (tensor === undefined) {
      throw new LexisegError('ERR_UNSUPPORTED', `The bundle proposes no "${name}"`, {
        details: { names: this.names },
      });
    }
    return tensor;
  }
}

/** Class probabilities of proposals under one vocabulary. */
export class Classification implements Disposable {
  readonly vocabulary: Vocabulary;
  /**
   * float32 [B, Q, K + 1] natural logarithms; the last column is void. To dispose it is to dispose
   * the classification.
   */
  readonly logProbs: Tensor;

  /** @internal */
  constructor(vocabulary: Vocabulary, logProbs: NativeTensor) {
    this.vocabulary = vocabulary;
    this.logProbs = Tensor.wrap(logProbs);
  }

  dispose(): void {
    this.logProbs.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
