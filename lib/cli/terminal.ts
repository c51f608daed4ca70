/** What the command line prints: results on stdout, progress and complaints on stderr. */

/** Progress of one command: a bar that is redrawn on a terminal, plain lines elsewhere. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  readonly #live: boolean;
  readonly #quiet: boolean;
  #shown = '';
  #last = 0;

  constructor(options: { quiet?: boolean; stream?: NodeJS.WriteStream } = {}) {
    this.#stream = options.stream ?? process.stderr;
    this.#quiet = options.quiet ?? false;
    this.#live = this.#stream.isTTY === true && !process.env.CI && process.env.TERM !== 'dumb';
  }

  /** A step that has begun. A line of its own where nothing can be redrawn. */
  step(text: string): void {
    if (this.#quiet) return;
    if (this.#live) this.#draw(text);
    else this.#stream.write(`${text}\n`);
  }

  /** Work done within a step; on plain output nothing, since lines would flood a log. */
  fraction(text: string, done: number, total: number | null): void {
    if (this.#quiet || !this.#live) return;
    const now = Date.now();
    if (now - this.#last < 80 && done !== total) return;
    this.#last = now;
    if (total === null || total <= 0) {
      this.#draw(text);
      return;
    }
    const width = 24;
    const filled = Math.min(width, Math.round((done / total) * width));
    const bar = '█'.repeat(filled) + '░'.repeat(width - filled);
    this.#draw(`${bar} ${Math.floor((100 * done) / total)}% ${text}`);
  }

  /** Removes the bar, so that a result may be printed. */
  clear(): void {
    if (this.#shown === '') return;
    this.#stream.write('\r\x1b[2K');
    this.#shown = '';
  }

  #draw(text: string): void {
    const width = Math.max(20, (this.#stream.columns ?? 80) - 1);
    const line = text.length > width ? `${text.slice(0, width - 1)}…` : text;
    if (line === this.#shown) return;
    this.#stream.write(`\r\x1b[2K${line}`);
    this.#shown = line;
  }
}

/** One line of stdout. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One JSON value on stdout. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Columns padded to equal width; numbers (and cells that end in a digit or %) to the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)),
  );
  const right = head.map(
    (_, i) => rows.length > 0 && rows.every((row) => /^[-\d.,% ]*$/.test(row[i] ?? '')),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (right[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

/** `1536000000` → `1.54 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** Text from files or the network without the control characters that would drive a terminal. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\uFFFD');
}
