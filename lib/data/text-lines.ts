/** Lines of a long text. */

/** Characters from one count of lines to the next. */
const BLOCK = 65_536;

/** Tells where characters of a text stand; any number of them for little more than one walk of it. */
export class TextLines {
  readonly #text: string;
  /** At the start of each block: how many lines have ended, and where the last of them did. */
  readonly #counts = [{ ended: 0, end: -1 }];

  constructor(text: string) {
    this.#text = text;
  }

  /** Line and column of a character, both from 1. */
  placeOf(at: number): { readonly line: number; readonly column: number } {
    const block = Math.floor(at / BLOCK);
    while (this.#counts.length <= block) {
      this.#counts.push(this.#count(this.#counts.length * BLOCK));
    }
    const { ended, end } = this.#count(at);
    return { line: ended + 1, column: at - end };
  }

  /** Lines that have ended before a character, from the last count that is known. */
  #count(to: number): { ended: number; end: number } {
    const block = Math.min(this.#counts.length - 1, Math.floor(to / BLOCK));
    let { ended, end } = this.#counts[block] as { ended: number; end: number };
    const from = block * BLOCK;
    const part = this.#text.slice(from, to);
    for (let at = part.indexOf('\n'); at >= 0; at = part.indexOf('\n', at + 1)) {
      ended++;
      end = from + at;
    }
    return { ended, end };
  }
}
