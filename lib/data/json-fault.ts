/** Where a text stops being JSON. */

const SPACE = /[ \t\r\n]*/y;
const PLAIN = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4})/y;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Below it are the characters that a string must escape. */
const LEAST_PLAIN = 0x20;

/**
 * Index of the first character, or word, that cannot stand where it stands; the length of a text
 * that was cut short. `JSON.parse` says where for some faults alone.
 *
 * @param text that `JSON.parse` refuses
 */
export function faultInJson(text: string): number {
  const closers: string[] = [];
  let wanted: 'value' | 'key' | 'colon' | 'comma' = 'value';
  let mayClose = false;
  for (let at = 0; ; ) {
    at = after(SPACE, text, at) ?? at;
    const letter = text[at];
    const closer = closers.at(-1);
    if (letter === undefined) return at;
    if (mayClose && letter === closer) {
      closers.pop();
      wanted = 'comma';
      at++;
    } else if (wanted === 'comma') {
      if (letter !== ',' || closer === undefined) return at;
      wanted = closer === '}' ? 'key' : 'value';
      mayClose = false;
      at++;
    } else if (wanted === 'colon') {
      if (letter !== ':') return at;
      wanted = 'value';
      at++;
    } else if (wanted === 'value' && (letter === '{' || letter === '[')) {
      closers.push(letter === '{' ? '}' : ']');
      wanted = letter === '{' ? 'key' : 'value';
      mayClose = true;
      at++;
    } else {
      if (wanted === 'key' && letter !== '"') return at;
      const { end, whole } = letter === '"' ? stringAt(text, at) : plainAt(text, at);
      if (!whole) return end;
      mayClose = wanted === 'value';
      wanted = wanted === 'key' ? 'colon' : 'comma';
      at = end;
    }
  }
}

/** Where what `pattern` matches at a place ends. */
function after(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

interface Found {
  /** Behind it, or where it is wrong. */
  readonly end: number;
  readonly whole: boolean;
}

function plainAt(text: string, at: number): Found {
  const end = after(PLAIN, text, at);
  return { end: end ?? at, whole: end !== undefined };
}

/** A string may be as long as the file: no pattern walks it. */
function stringAt(text: string, start: number): Found {
  let at = start + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return { end: at + 1, whole: true };
    const next = code === BACKSLASH ? after(ESCAPE, text, at) : at + 1;
    if (next === undefined || code < LEAST_PLAIN) return { end: at, whole: false };
    at = next;
  }
  return { end: at, whole: false };
}
