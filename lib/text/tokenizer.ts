/** CLIP's byte-pair tokenizer: text → token ids, exactly as open_clip's SimpleTokenizer. */
import { LexisegError } from '../errors.js';
import { cleanText } from './cleaning.js';

export interface TokenizerOptions {
  readonly startId: number;
  readonly endId: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly lowerCase: boolean;
}

const START = '<start_of_text>';
const END = '<end_of_text>';
/** The two special names may be typed by a user, and then count as the tokens: as published. */
const WORD = new RegExp(
  `${START}|${END}|'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^ \\p{L}\\p{N}]+`,
  'giu',
);
const WORD_CACHE_LIMIT = 50_000;
const LONGEST_CACHED_WORD = 64;

/** Turns text into CLIP's token ids. */
export class ClipTokenizer {
  readonly contextLength: number;
  readonly #startId: number;
  readonly #endId: number;
  readonly #lowerCase: boolean;
  /** Rank of the merge of tokens a and b, at key a · 2³² + b; its token is 512 + rank. */
  readonly #ranks: Map<number, number>;
  readonly #byteIds: readonly number[];
  readonly #words = new Map<string, readonly number[]>();
  readonly #encoder = new TextEncoder();

  /** @param merges one merge "a b" per line, most frequent first. */
  constructor(merges: string, options: TokenizerOptions) {
    this.contextLength = options.contextLength;
    this.#startId = options.startId;
    this.#endId = options.endId;
    this.#lowerCase = options.lowerCase;
    const symbols = byteSymbols();
    this.#byteIds = symbols.map((symbol) => SYMBOL_ORDER.indexOf(symbol.codePointAt(0) as number));
    this.#ranks = readMerges(merges, symbols, options);
  }

  /** Token ids of the text alone, without start, end or limit. */
  tokenize(text: string): number[] {
    const cleaned = cleanText(text);
    const ids: number[] = [];
    for (const [word] of (this.#lowerCase ? cleaned.toLowerCase() : cleaned).matchAll(WORD)) {
      for (const id of this.#wordIds(word)) ids.push(id);
    }
    return ids;
  }

  /** Token ids with start and end, cut to the context length; the end token is always kept. */
  encode(text: string): number[] {
    const ids = this.tokenize(text).slice(0, this.contextLength - 2);
    return [this.#startId, ...ids, this.#endId];
  }

  #wordIds(word: string): readonly number[] {
    if (word === START) return [this.#startId];
    if (word === END) return [this.#endId];
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    const bytes = this.#encoder.encode(word);
    const ids = Array.from(bytes, (byte) => this.#byteIds[byte] as number);
    ids[ids.length - 1] = (ids[ids.length - 1] as number) + 256;
    const merged = mergePairs(ids, this.#ranks);
    if (word.length <= LONGEST_CACHED_WORD) {
      if (this.#words.size >= WORD_CACHE_LIMIT) this.#words.clear();
      this.#words.set(word, merged);
    }
    return merged;
  }
}

const KEY = 2 ** 32;
const FIRST_MERGE_ID = 512;

/** Code points that stand for bytes, in the order in which CLIP numbers them. */
const SYMBOL_ORDER: readonly number[] = (() => {
  const printable = [...range(0x21, 0x7e), ...range(0xa1, 0xac), ...range(0xae, 0xff)];
  const others = 256 - printable.length;
  return [...printable, ...range(256, 256 + others - 1)];
})();

/** The symbol of each byte: itself when printable, else the next code point from 256 on. */
function byteSymbols(): string[] {
  const printable = new Set(SYMBOL_ORDER.filter((code) => code < 256));
  let next = 256;
  return range(0, 255).map((byte) => String.fromCodePoint(printable.has(byte) ? byte : next++));
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function readMerges(
  merges: string,
  symbols: readonly string[],
  options: TokenizerOptions,
): Map<number, number> {
  const idOf = new Map<string, number>();
  for (const symbol of symbols) {
    const id = SYMBOL_ORDER.indexOf(symbol.codePointAt(0) as number);
    idOf.set(symbol, id);
    idOf.set(`${symbol}</w>`, id + 256);
  }
  const ranks = new Map<number, number>();
  const lines = merges.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (FIRST_MERGE_ID + lines.length + 2 !== options.vocabSize) {
    throw new LexisegError(
      'ERR_BUNDLE_MANIFEST',
      `${lines.length} merges do not make a vocabulary of ${options.vocabSize} tokens`,
    );
  }
  lines.forEach((line, rank) => {
    const [first = '', second = '', ...rest] = line.trimEnd().split(' ');
    const a = idOf.get(first);
    const b = idOf.get(second);
    if (a === undefined || b === undefined || rest.length > 0) {
      throw new LexisegError('ERR_BUNDLE_MANIFEST', `Merge ${rank + 1} is not two known tokens`);
    }
    idOf.set(first + second, FIRST_MERGE_ID + rank);
    ranks.set(a * KEY + b, rank);
  });
  return ranks;
}

/**
 * Merges the pair of lowest rank, everywhere from left to right, until no pair has a rank.
 * Positions wait in buckets by rank under a binary heap, so a word of n bytes takes n log n steps.
 */
function mergePairs(ids: number[], ranks: Map<number, number>): number[] {
  const next = ids.map((_, index) => index + 1);
  const previous = ids.map((_, index) => index - 1);
  const buckets = new Map<number, number[]>();
  const heap: number[] = [];
  const offer = (left: number): void => {
    const right = next[left] as number;
    if (left < 0 || right >= ids.length) return;
    const rank = ranks.get((ids[left] as number) * KEY + (ids[right] as number));
    if (rank === undefined) return;
    const bucket = buckets.get(rank);
    if (bucket !== undefined) bucket.push(left);
    else {
      buckets.set(rank, [left]);
      pushHeap(heap, rank);
    }
  };
  for (let left = 0; left < ids.length - 1; left++) offer(left);
  while (heap.length > 0) {
    const rank = popHeap(heap);
    const positions = (buckets.get(rank) as number[]).sort((a, b) => a - b);
    buckets.delete(rank);
    const merged: number[] = [];
    for (const left of positions) {
      const right = next[left] as number;
      // An earlier merge of this round may have used up either half.
      if (ids[left] === GONE || right >= ids.length) continue;
      if (ranks.get((ids[left] as number) * KEY + (ids[right] as number)) !== rank) continue;
      ids[left] = FIRST_MERGE_ID + rank;
      ids[right] = GONE;
      const after = next[right] as number;
      next[left] = after;
      if (after < ids.length) previous[after] = left;
      merged.push(left);
    }
    const touched = new Set(merged.flatMap((left) => [previous[left] as number, left]));
    for (const left of touched) if (left >= 0) offer(left);
  }
  return ids.filter((id) => id !== GONE);
}

const GONE = -1;

function pushHeap(heap: number[], value: number): void {
  let index = heap.length;
  heap.push(value);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if ((heap[parent] as number) <= value) break;
    heap[index] = heap[parent] as number;
    index = parent;
  }
  heap[index] = value;
}

function popHeap(heap: number[]): number {
  const top = heap[0] as number;
  const value = heap.pop() as number;
  if (heap.length === 0) return top;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
    if ((heap[child] as number) >= value) break;
    heap[index] = heap[child] as number;
    index = child;
  }
  heap[index] = value;
  return top;
}
