/** Where in a JSON text a value stands. */

const SPACE = /[\s,:]/;

/**
 * Line and column, both from 1, of the value at a path of keys and indices; of the deepest part of
 * the path that is there.
 *
 * @param text that `JSON.parse` accepts
 */
export function placeInJson(
  text: string,
  path: readonly (string | number)[],
): { readonly line: number; readonly column: number } {
  const at = new Scanner(text).find(path);
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: at - lineStart + 1 };
}

/** `annotations[3].segments_info[2].id` as keys and indices. */
export function pathOfPlace(place: string): (string | number)[] {
  return [...place.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, key]) =>
    index === undefined ? String(key) : Number(index),
  );
}

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  find(path: readonly (string | number)[]): number {
    this.#skipSpace();
    let found = this.#at;
    for (const step of path) {
      const there = typeof step === 'number' ? this.#enterItem(step) : this.#enterField(step);
      if (!there) break;
      found = this.#at;
    }
    return found;
  }

  #skipSpace(): void {
    while (this.#at < this.#text.length && SPACE.test(this.#text[this.#at] as string)) this.#at++;
  }

  #enterItem(index: number): boolean {
    if (this.#text[this.#at] !== '[') return false;
    this.#at++;
    for (let i = 0; ; i++) {
      this.#skipSpace();
      if (this.#text[this.#at] === ']') return false;
      if (i === index) return true;
      this.#skipValue();
    }
  }

  #enterField(key: string): boolean {
    if (this.#text[this.#at] !== '{') return false;
    this.#at++;
    for (;;) {
      this.#skipSpace();
      if (this.#text[this.#at] === '}') return false;
      const start = this.#at;
      this.#skipValue();
      const name: unknown = JSON.parse(this.#text.slice(start, this.#at));
      this.#skipSpace();
      if (name === key) return true;
      this.#skipValue();
    }
  }

  #skipString(): void {
    this.#at++;
    while (this.#text[this.#at] !== '"') this.#at += this.#text[this.#at] === '\\' ? 2 : 1;
    this.#at++;
  }

  /** Counts brackets, so that depth costs no stack. */
  #skipValue(): void {
    const first = this.#text[this.#at];
    if (first === '"') {
      this.#skipString();
      return;
    }
    if (first !== '{' && first !== '[') {
      while (this.#at < this.#text.length && !/[\s,\]}:]/.test(this.#text[this.#at] as string)) {
        this.#at++;
      }
      return;
    }
    let depth = 0;
    do {
      const letter = this.#text[this.#at];
      if (letter === '"') {
        this.#skipString();
        continue;
      }
      if (letter === '{' || letter === '[') depth++;
      if (letter === '}' || letter === ']') depth--;
      this.#at++;
    } while (depth > 0);
  }
}
