/** What each kind of batch must hold, checked before the addon sees it. */
import { expected, LexisegError } from '../errors.js';
import type { TrainingInfo } from '../manifest-training.js';
import { type DType, Tensor } from '../tensor.js';
import type { TrainingBatch } from './batch.js';
import type { TrainingVocabulary } from './training-vocabulary.js';

interface InputSpec {
  readonly dtype: DType;
  /** Letters stand for sizes that must agree, numbers for themselves. */
  readonly shape: readonly (string | number)[];
  /** A batch may do without it. */
  readonly optional?: boolean;
}

const IMAGES: InputSpec = { dtype: 'uint8', shape: ['B', 'H', 'W', 3] };

/** Inputs by name, for each kind of batch. */
export const BATCH_INPUTS: Readonly<
  Record<TrainingInfo['batch'], Readonly<Record<string, InputSpec>>>
> = {
  panoptic: {
    images: IMAGES,
    masks: { dtype: 'uint8', shape: ['M', 'H', 'W'] },
    labels: { dtype: 'int64', shape: ['M'] },
    mask_counts: { dtype: 'int64', shape: ['B'] },
    word_ids: { dtype: 'int64', shape: ['T', 'L'], optional: true },
    word_counts: { dtype: 'int64', shape: ['B'], optional: true },
  },
  'image-text': {
    images: IMAGES,
    boxes: { dtype: 'int64', shape: ['N', 5], optional: true },
    token_ids: { dtype: 'int64', shape: ['N', 'L'] },
    paired_token_ids: { dtype: 'int64', shape: ['N', 'M'], optional: true },
  },
};

/** The batches of one step: a list of them, or one by itself. */
export function batchList(batch: TrainingBatch | readonly TrainingBatch[]): TrainingBatch[] {
  const batches: unknown[] = Array.isArray(batch) ? batch : [batch];
  if (batches.length === 0) throw expected('at least one batch', 'batch', batch);
  for (const one of batches) {
    const { inputs, name } = (one ?? {}) as Partial<Record<keyof TrainingBatch, unknown>>;
    if (inputs === null || typeof inputs !== 'object') {
      throw expected('an object of tensors', 'batch.inputs', inputs);
    }
    if (typeof name !== 'string') throw expected('a string', 'batch.name', name);
  }
  return batches as TrainingBatch[];
}

/**
 * The size B of a batch.
 *
 * @throws LexisegError `ERR_TENSOR` that names the batch and the input which does not fit; a
 *   TypeError for an input that is no tensor.
 */
export function checkBatch(kind: TrainingInfo['batch'], batch: TrainingBatch): number {
  const sizes = new Map<string, number>();
  for (const [name, spec] of Object.entries(BATCH_INPUTS[kind])) {
    const tensor = batch.inputs[name];
    if (tensor === undefined && spec.optional) continue;
    if (tensor === undefined) refuse(batch, name, `${kind} batches need it`);
    checkInput(batch, name, tensor as Tensor, spec, sizes);
  }
  if (kind === 'image-text' && !batch.inputs.boxes && sizes.get('N') !== sizes.get('B')) {
    refuse(batch, 'token_ids', `${sizes.get('N')} texts for ${sizes.get('B')} images`);
  }
  return sizes.get('B') ?? 0;
}

/**
 * The batch with what the run adds to it: seeds for everything random, and the vocabulary.
 *
 * @throws LexisegError `ERR_VOCABULARY` when masks are trained without one, `ERR_TENSOR` for a
 *   label that is none of its classes.
 */
export function completeInputs(
  kind: TrainingInfo['batch'],
  batch: TrainingBatch,
  seeds: Tensor,
  vocabulary: TrainingVocabulary | undefined,
): Record<string, Tensor> {
  if (kind !== 'panoptic') return { ...batch.inputs };
  if (vocabulary === undefined) {
    throw new LexisegError('ERR_VOCABULARY', 'Training on masks needs options.vocabulary');
  }
  const { classEmbeddings, synonymCounts } = vocabulary;
  const count = synonymCounts.shape[0] as number;
  const labels = batch.inputs.labels?.data as BigInt64Array;
  checkWords(batch);
  const beyond = labels.find((label) => label < 0n || label >= BigInt(count));
  if (beyond !== undefined) {
    refuse(batch, 'labels', `${beyond} is no index of the ${count} classes of the vocabulary`);
  }
  return {
    seeds,
    ...batch.inputs,
    class_embeddings: classEmbeddings,
    synonym_counts: synonymCounts,
  };
}

/** Words and their counts come together, and agree. */
function checkWords(batch: TrainingBatch): void {
  const { word_ids: ids, word_counts: counts } = batch.inputs;
  if (ids === undefined && counts === undefined) return;
  if (counts === undefined) refuse(batch, 'word_counts', 'word_ids needs it');
  const rows = ids?.shape[0] ?? 0;
  const values = (counts as Tensor).data as BigInt64Array;
  const sum = values.reduce((total, count) => (count < 0n ? Number.NaN : total + Number(count)), 0);
  if (sum !== rows) refuse(batch, 'word_counts', `they are of ${sum} words, word_ids of ${rows}`);
}

function checkInput(
  batch: TrainingBatch,
  name: string,
  tensor: Tensor,
  spec: InputSpec,
  sizes: Map<string, number>,
): void {
  if (!(tensor instanceof Tensor)) {
    throw expected('a Tensor', `the input ${name} of ${batch.name}`, tensor);
  }
  const wanted = `${spec.dtype} [${spec.shape.join(', ')}]`;
  const given = `${tensor.dtype} [${tensor.shape.join(', ')}]`;
  const fits =
    tensor.dtype === spec.dtype &&
    tensor.shape.length === spec.shape.length &&
    spec.shape.every((size, i) => {
      const actual = tensor.shape[i] as number;
      if (typeof size === 'number') return actual === size;
      if (!sizes.has(size)) sizes.set(size, actual);
      return sizes.get(size) === actual;
    });
  if (!fits) refuse(batch, name, `expected ${wanted} but received ${given}`);
}

function refuse(batch: TrainingBatch, input: string, reason: string): never {
  throw new LexisegError('ERR_TENSOR', `The input ${input} of ${batch.name}: ${reason}`, {
    details: { batch: batch.name, input },
  });
}
