/** Images → masks with embeddings → classes, for bundles that propose masks or name them. */
import { checkGiven, type Shape } from '../bundle-contract.js';
import { expected, LexisegError } from '../errors.js';
import type { DecodedImage } from '../image.js';
import { runJob } from '../job.js';
import type { Manifest } from '../manifest.js';
import type { NativeTensor } from '../native.js';
import type { NativeModel } from '../native-model.js';
import type { Size } from '../options.js';
import { Classification, Proposals } from '../proposals.js';
import { Tensor } from '../tensor.js';
import { Vocabulary } from '../vocabulary.js';
import { stackImages } from './image-batch.js';
import { readSize } from './network-size.js';

/** Tensors of proposals that say where their masks are, whatever bundle made them. */
const MASK_FRAME = ['mask_logits', 'network_size', 'valid_size'];

/** The mask stages of one loaded bundle. */
export class MaskStages {
  readonly #model: NativeModel;
  readonly #manifest: Manifest;

  constructor(parts: { model: NativeModel; manifest: Manifest }) {
    this.#model = parts.model;
    this.#manifest = parts.manifest;
  }

  /** Proposals of images of one size. */
  async propose(
    images: readonly DecodedImage[],
    signal: AbortSignal | undefined,
  ): Promise<Proposals> {
    const names = this.#manifest.methods.includes('embed_masks');
    this.#checkMethod(
      'propose_masks',
      names
        ? 'The bundle names masks and proposes none: load it with masksFrom (--masks-from)'
        : 'The bundle proposes no masks',
    );
    const input = stackImages(images);
    try {
      const tensors = await runJob(signal, (job) => this.#model.proposeMasks(job, input));
      return await this.#proposalsOf(tensors, 'Q', images, signal);
    } finally {
      input.dispose();
    }
  }

  /** The masks of proposals that another bundle made, with this one's embeddings. */
  async embed(proposals: Proposals, signal: AbortSignal | undefined): Promise<Proposals> {
    if (!(proposals instanceof Proposals)) throw expected('Proposals', 'proposals', proposals);
    this.checkEmbeds();
    const masks = MASK_FRAME.map((name) => Tensor.unwrap(proposals.tensor(name), name));
    const images = Proposals.imagesOf(proposals);
    const { queryCount } = proposals;
    const input = stackImages(images);
    try {
      const tensors = await runJob(signal, (job) => this.#model.embedMasks(job, input, masks));
      return await this.#proposalsOf(tensors, queryCount, images, signal);
    } finally {
      input.dispose();
    }
  }

  /** @throws LexisegError `ERR_UNSUPPORTED` for a bundle without `embed_masks`. */
  checkEmbeds(): void {
    this.#checkMethod('embed_masks', 'The bundle embeds no masks of other bundles');
  }

  /** Of proposals and a vocabulary that this bundle made. */
  async classify(
    proposals: Proposals,
    vocabulary: Vocabulary,
    signal: AbortSignal | undefined,
  ): Promise<Classification> {
    const tensors = Proposals.tensorsOf(proposals);
    const { classEmbeddings, synonymCounts, seen } = Vocabulary.tensorsOf(vocabulary);
    // Now: proposals that are disposed while the call runs have no queries any more.
    const shape = [proposals.batchSize, proposals.queryCount, vocabulary.length + 1];
    const logProbs = await runJob(signal, (job) =>
      this.#model.classifyMasks(job, tensors, classEmbeddings, synonymCounts, seen),
    );
    try {
      checkGiven('classify_masks', [logProbs], [shape]);
    } catch (error) {
      logProbs.dispose();
      throw error;
    }
    return new Classification(vocabulary, logProbs);
  }

  /** With `count` masks an image. Owns the tensors: disposes them if something is wrong with them. */
  async #proposalsOf(
    tensors: NativeTensor[],
    count: Shape[number],
    images: readonly DecodedImage[],
    signal: AbortSignal | undefined,
  ): Promise<Proposals> {
    try {
      const names = this.#manifest.proposals;
      if (tensors.length !== names.length) {
        throw new LexisegError(
          'ERR_BUNDLE_CONTRACT',
          `The bundle gave ${tensors.length} tensors; the manifest names ${names.length}`,
        );
      }
      const maskLogits = tensors[names.indexOf('mask_logits')] as NativeTensor;
      checkGiven('mask_logits', [maskLogits], [[images.length, count, 'h', 'w']]);
      const sizeNamed = (name: string): Promise<Size> =>
        readSize(tensors[names.indexOf(name)] as NativeTensor, name, signal);
      const [networkSize, validSize] = [
        await sizeNamed('network_size'),
        await sizeNamed('valid_size'),
      ];
      const weightsSha256 = this.#manifest.weights.sha256;
      return new Proposals({ names, tensors, images, networkSize, validSize, weightsSha256 });
    } catch (error) {
      for (const tensor of tensors) tensor.dispose();
      throw error;
    }
  }

  #checkMethod(method: string, without: string): void {
    const { methods } = this.#manifest;
    if (methods.includes(method)) return;
    throw new LexisegError('ERR_UNSUPPORTED', without, { details: { methods } });
  }
}
