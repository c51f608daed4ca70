/** Text → embeddings: prompts in chunks through the text tower, averaged over templates. */
import { checkGiven } from '../bundle-contract.js';
import { expected, LexisegError } from '../errors.js';
import { breathe, callNative, runJob, throwIfAborted } from '../job.js';
import type { Manifest } from '../manifest.js';
import { type NativeJob, type NativeTensor, native } from '../native.js';
import { LIMITS, type Progress } from '../options.js';
import { fillTemplate } from './classes.js';
import { cacheKey, type EmbeddingCache } from './embedding-cache.js';
import type { ClipTokenizer } from './tokenizer.js';

/** What has a text tower: a loaded bundle, or one in training. */
export interface TextTower {
  info(): { readonly device: string; readonly dtype: string };
  /** int64 [N, L] → float32 [N, D], unit norm. */
  encodeText(job: NativeJob, tokenIds: NativeTensor): Promise<NativeTensor>;
}

/** A synonym with the templates that it is put into. */
export interface SynonymPrompt {
  readonly synonym: string;
  readonly templates: readonly string[];
}

export interface EncodeOptions {
  readonly signal: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Synonyms finished and cached together, so that a cancelled call keeps most of its work. */
const SYNONYM_BLOCK = 512;
/** Main-thread time between two breaths, milliseconds. */
const TIME_SLICE = 8;

/** Runs the text tower of one bundle. */
export class TextEncoder {
  readonly #model: TextTower;
  readonly #manifest: Manifest;
  readonly #tokenizer: ClipTokenizer;
  readonly #cache: EmbeddingCache;
  readonly #origin: string;

  /** `origin` stands for the weights and the tokenizer in the cache: no other tower has the same. */
  constructor(parts: {
    readonly model: TextTower;
    readonly manifest: Manifest;
    readonly tokenizer: ClipTokenizer;
    readonly cache: EmbeddingCache;
    readonly origin: string;
  }) {
    this.#model = parts.model;
    this.#manifest = parts.manifest;
    this.#tokenizer = parts.tokenizer;
    this.#cache = parts.cache;
    this.#origin = parts.origin;
  }

  /**
   * float32 [S, D] row-major: of each synonym the unit mean of its prompts' unit embeddings
   * (FC-CLIP's published order: normalise, average over templates, normalise again).
   */
  async classEmbeddings(
    synonyms: readonly SynonymPrompt[],
    options: EncodeOptions,
  ): Promise<Float32Array> {
    const dimension = this.#manifest.embeddingDim;
    const { device, dtype } = this.#model.info();
    const kind = device.replace(/:.*/, '');
    // Nothing that changes the numbers by more than rounding is left out.
    const keyOf = ({ synonym, templates }: SynonymPrompt): string =>
      cacheKey(this.#origin, kind, dtype, templates, synonym);
    const keys = synonyms.map(keyOf);
    const byKey = new Map(keys.map((key, index) => [key, synonyms[index] as SynonymPrompt]));
    const uniqueKeys = [...byKey.keys()];
    const vectors = new Map<string, Float32Array>();
    const known = await this.#cache.read(uniqueKeys, dimension);
    throwIfAborted(options.signal);
    uniqueKeys.forEach((key, index) => {
      const vector = known[index];
      if (vector) vectors.set(key, vector);
    });
    const missing = uniqueKeys.filter((key) => !vectors.has(key));
    const total = sum(missing.map((key) => byKey.get(key)?.templates.length ?? 0));
    let before = 0;
    for (let start = 0; start < missing.length; start += SYNONYM_BLOCK) {
      const block = missing.slice(start, start + SYNONYM_BLOCK);
      const prompts = block.map((key) => byKey.get(key) as SynonymPrompt);
      const rows = await this.#encodeBlock(prompts, {
        signal: options.signal,
        onProgress: ({ done }) => options.onProgress?.({ done: before + done, total }),
      });
      before += sum(prompts.map(({ templates }) => templates.length));
      const entries = block.map((key, row): [string, Float32Array] => [
        key,
        rows.slice(row * dimension, (row + 1) * dimension),
      ]);
      await this.#cache.write(entries);
      for (const [key, vector] of entries) vectors.set(key, vector);
    }
    const matrix = new Float32Array(synonyms.length * dimension);
    keys.forEach((key, row) => {
      matrix.set(vectors.get(key) as Float32Array, row * dimension);
    });
    return matrix;
  }

  /** float32 [N, D] row-major, unit rows, in the order of the prompts. */
  async textEmbeddings(prompts: readonly string[], options: EncodeOptions): Promise<Float32Array> {
    const dimension = this.#manifest.embeddingDim;
    const embeddings = new Float32Array(prompts.length * dimension);
    await this.#encodeEach(prompts, options, (row, embedding) => {
      embeddings.set(embedding, row * dimension);
    });
    return embeddings;
  }

  /** float32 [S, D] unit means of a few hundred synonyms. */
  async #encodeBlock(
    synonyms: readonly SynonymPrompt[],
    options: EncodeOptions,
  ): Promise<Float32Array> {
    const dimension = this.#manifest.embeddingDim;
    const owners: number[] = [];
    const prompts: string[] = [];
    synonyms.forEach(({ synonym, templates }, row) => {
      for (const template of templates) {
        prompts.push(fillTemplate(template, synonym));
        owners.push(row);
      }
    });
    const sums = new Float64Array(synonyms.length * dimension);
    await this.#encodeEach(prompts, options, (index, embedding) => {
      const offset = (owners[index] as number) * dimension;
      for (let i = 0; i < dimension; i++) {
        sums[offset + i] = (sums[offset + i] as number) + (embedding[i] as number);
      }
    });
    for (let row = 0; row < synonyms.length; row++) {
      normalise(
        sums.subarray(row * dimension, (row + 1) * dimension),
        synonyms[row]?.synonym ?? '',
      );
    }
    return Float32Array.from(sums);
  }

  /**
   * Calls `take(index, embedding)` for each prompt. Equal token ids are encoded once; prompts of
   * like length share a chunk cut to its longest, which is exact because attention is causal.
   */
  async #encodeEach(
    prompts: readonly string[],
    options: EncodeOptions,
    take: (index: number, embedding: Float32Array) => void,
  ): Promise<void> {
    const { signal, onProgress } = options;
    const groups = await this.#tokenizeAll(prompts, signal);
    groups.sort((a, b) => a.ids.length - b.ids.length);
    let done = 0;
    for (let start = 0; start < groups.length; start += LIMITS.promptChunk) {
      const chunk = groups.slice(start, start + LIMITS.promptChunk);
      const rows = await this.#encodeChunk(chunk, signal);
      const dimension = this.#manifest.embeddingDim;
      chunk.forEach(({ indices }, row) => {
        const embedding = rows.subarray(row * dimension, (row + 1) * dimension);
        for (const index of indices) take(index, embedding);
        done += indices.length;
      });
      onProgress?.({ done, total: prompts.length });
    }
  }

  async #tokenizeAll(
    prompts: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<TokenGroup[]> {
    const groups = new Map<string, TokenGroup>();
    let sliceEnd = performance.now() + TIME_SLICE;
    for (let index = 0; index < prompts.length; index++) {
      const ids = this.#tokenizer.encode(prompts[index] as string);
      const key = ids.join();
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { ids, indices: [index] });
      else group.indices.push(index);
      if (performance.now() > sliceEnd) {
        await breathe(signal);
        sliceEnd = performance.now() + TIME_SLICE;
      }
    }
    return [...groups.values()];
  }

  /** float32 [N, D] of one chunk, copied out of the native tensor. */
  async #encodeChunk(
    chunk: readonly TokenGroup[],
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const length = Math.max(...chunk.map(({ ids }) => ids.length));
    const tokenIds = new BigInt64Array(chunk.length * length);
    chunk.forEach(({ ids }, row) => {
      ids.forEach((id, column) => {
        tokenIds[row * length + column] = BigInt(id);
      });
    });
    const input = callNative(() => native().copyTensor(tokenIds, [chunk.length, length], 'int64'));
    let output: NativeTensor | undefined;
    let onHost: NativeTensor | undefined;
    try {
      const encoded = await runJob(signal, (job) => this.#model.encodeText(job, input));
      output = encoded;
      onHost =
        encoded.device === 'cpu'
          ? encoded
          : await runJob(signal, (job) => encoded.to(job, 'cpu', 'float32'));
      checkGiven('encode_text', [onHost], [[chunk.length, this.#manifest.embeddingDim]]);
      return (onHost.data() as Float32Array).slice();
    } finally {
      input.dispose();
      output?.dispose();
      onHost?.dispose();
    }
  }
}

interface TokenGroup {
  readonly ids: readonly number[];
  readonly indices: number[];
}

function normalise(vector: Float64Array, synonym: string): void {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const norm = Math.sqrt(squares);
  if (!(norm > 0 && Number.isFinite(norm))) {
    throw new LexisegError(
      'ERR_NOT_FINITE',
      `The text embedding of "${synonym}" has no direction`,
      {
        details: { synonym: synonym.slice(0, 200), norm },
      },
    );
  }
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] as number) / norm;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}

/** The prompts as a list that nobody else changes; refuses those that are not of bounded length. */
export function heldPrompts(given: string | readonly string[]): string[] {
  if (typeof given !== 'string' && !Array.isArray(given)) {
    throw expected('a string or an array of strings', 'prompts', given);
  }
  const prompts = typeof given === 'string' ? [given] : [...given];
  if (prompts.length === 0) throw expected('at least one prompt', 'prompts', prompts);
  for (const prompt of prompts as readonly unknown[]) {
    if (typeof prompt !== 'string') throw expected('a string', 'a prompt', prompt);
    if (prompt.length > LIMITS.nameLength + LIMITS.templateLength) {
      throw expected('a shorter string', 'a prompt', prompt);
    }
  }
  return prompts;
}
