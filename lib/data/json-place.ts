/** Where in a JSON file a value stands. */
import { readFileSync } from 'node:fs';
import { TextLines } from './text-lines.js';

const SPACE = new Set([' ', '\t', '\r', '\n', ',', ':'].map((letter) => letter.charCodeAt(0)));
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LIST = 0x5b;
const LIST_END = 0x5d;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;

/**
 * Places in one file. It is read again for the first that is asked for, and walked once for all of
 * them, however many.
 */
export class JsonPlaces {
  readonly file: string;
  #text: JsonText | undefined;

  constructor(file: string) {
    this.file = file;
  }

  /**
   * `file:line:column` of a value, or of the deepest part of its path that is there; the file when it
   * cannot be read again.
   *
   * @param place such as `annotations[3].segments_info[2].id`
   */
  of(place: string): string {
    try {
      this.#text ??= new JsonText(readFileSync(this.file, 'utf8'));
      const { line, column } = this.#text.placeOf(pathOfPlace(place));
      return `${this.file}:${line}:${column}`;
    } catch {
      return this.file;
    }
  }
}

/** `annotations[3].segments_info[2].id` as keys and indices. */
function pathOfPlace(place: string): (string | number)[] {
  return [...place.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, key]) =>
    index === undefined ? String(key) : Number(index),
  );
}

/** A text that `JSON.parse` accepts, and what of it was walked. */
class JsonText {
  readonly #text: string;
  readonly #lines: TextLines;
  /** Where the items of a list begin, up to the last that was asked for. */
  readonly #items = new Map<number, number[]>();
  /** Where fields begin, by the place of their object and their key. */
  readonly #fields = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
    this.#lines = new TextLines(text);
  }

  placeOf(path: readonly (string | number)[]): ReturnType<TextLines['placeOf']> {
    let found = this.#pastSpace(0);
    for (const step of path) {
      const there = typeof step === 'number' ? this.#item(found, step) : this.#field(found, step);
      if (there === undefined) break;
      found = there;
    }
    return this.#lines.placeOf(found);
  }

  #item(list: number, index: number): number | undefined {
    if (this.#code(list) !== LIST) return undefined;
    let starts = this.#items.get(list);
    if (starts === undefined) {
      starts = [this.#pastSpace(list + 1)];
      this.#items.set(list, starts);
    }
    while (starts.length <= index) {
      const last = starts.at(-1) as number;
      if (this.#code(last) === LIST_END) return undefined;
      starts.push(this.#pastSpace(this.#pastValue(last)));
    }
    const start = starts[index] as number;
    return this.#code(start) === LIST_END ? undefined : start;
  }

  #field(object: number, key: string): number | undefined {
    if (this.#code(object) !== OBJECT) return undefined;
    const name = `${object} ${key}`;
    const known = this.#fields.get(name);
    if (known !== undefined) return known;
    let at = this.#pastSpace(object + 1);
    while (this.#code(at) !== OBJECT_END) {
      const end = this.#pastString(at);
      const value = this.#pastSpace(end);
      if (JSON.parse(this.#text.slice(at, end)) === key) {
        this.#fields.set(name, value);
        return value;
      }
      at = this.#pastSpace(this.#pastValue(value));
    }
    return undefined;
  }

  #code(at: number): number {
    if (at < this.#text.length) return this.#text.charCodeAt(at);
    throw new RangeError('the file is another one now');
  }

  #pastSpace(from: number): number {
    let at = from;
    while (SPACE.has(this.#text.charCodeAt(at))) at++;
    return at;
  }

  #pastString(from: number): number {
    let at = from + 1;
    for (let code = this.#code(at); code !== QUOTE; code = this.#code(at)) {
      at += code === BACKSLASH ? 2 : 1;
    }
    return at + 1;
  }

  /** Counts brackets, so that depth costs no stack. */
  #pastValue(from: number): number {
    let at = from;
    let depth = 0;
    do {
      const code = this.#code(at);
      if (code === QUOTE) {
        at = this.#pastString(at);
        continue;
      }
      if (code === LIST || code === OBJECT) depth++;
      if (code === LIST_END || code === OBJECT_END) depth--;
      // A number or a word of the outermost level ends where something else begins.
      at = depth === 0 && code !== LIST_END && code !== OBJECT_END ? this.#pastWord(at) : at + 1;
    } while (depth > 0);
    return at;
  }

  #pastWord(from: number): number {
    let at = from;
    for (; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at);
      if (SPACE.has(code) || code === LIST_END || code === OBJECT_END) break;
    }
    return at;
  }
}
