/**
 * Repairs UTF-8 that was read as Windows-1252 or Latin-1 ("Ã©" → "é"), once or several times over.
 * Mix-ups with other one-byte encodings are left as they are.
 */

/** Characters of bytes 0x80 to 0x9F in Windows-1252; the five unassigned ones as in Latin-1. */
const HIGH_CONTROLS =
  '\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f' +
  '\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178';

const BYTE_OF = new Map<string, number>([
  ...Array.from({ length: 256 }, (_, byte): [string, number] => [String.fromCharCode(byte), byte]),
  ...Array.from(HIGH_CONTROLS, (character, index): [string, number] => [character, 0x80 + index]),
]);

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Continuation bytes that, after an accented letter, nobody types on purpose. */
const STRANGE =
  '\\x80-\\x9f\\xa4\\xa6-\\xa8\\xaa\\xac\\xaf\\xb1-\\xb3\\xb5\\xb6\\xb8-\\xba\\xbc-\\xbe' +
  '\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2020\u2021\u2030\u20ac';
/** Continuation bytes that are also punctuation: "CAFÉ—bar" and "«CAFÉ»" are no mojibake. */
const PUNCTUATION =
  '\\u0152\\u0153\\xa0-\\xa3\\xa5\\xa9\\xab\\xad\\xae\\xb0\\xb4\\xb7\\xbb\\xbf' +
  '\u2013\u2014\u2018-\u201a\u201c-\u201e\u2022\u2026\u2039\u203a\u2122';
const ANY = `[${STRANGE}${PUNCTUATION}]`;
const RUN = new RegExp(`(?:[\\xc2-\\xdf]${ANY}|[\\xe0-\\xef]${ANY}{2}|[\\xf0-\\xf4]${ANY}{3})+`);
const RUNS = new RegExp(RUN, 'g');
/** What nobody types: strange pairs, unlikely lead bytes, punctuation inside a word. */
const CONVINCING = new RegExp(
  [
    `[\\xc2-\\xf4][${PUNCTUATION}]?[${STRANGE}]`,
    `[\\xc2\\xc3\\xce\\xd0]${ANY}`,
    '[\\xc2-\\xd1\\xd8\\xdc]\\xb0',
    `(?:[\\xd8\\xd9]${ANY}){2}`,
    '[\u0152\u0153][^A-Za-z]',
    '[\\xc2-\\xd1\\xe0-\\xf1][\\xa1\\xa9\\xab\\xae\\xbb\\xbf\u2018\u201a\u201c-\u201e\u2022\u2039\u203a\u2122]\\w',
  ].join('|'),
);
const HIGH_CONTROL = /[\x80-\x9f]/g;

/** The text with UTF-8 in disguise decoded, then stray control characters mapped. */
export function repairEncoding(text: string): string {
  let current = text;
  for (;;) {
    const repaired = repairOnce(current);
    if (repaired === current) break;
    current = repaired;
  }
  return current.replace(
    HIGH_CONTROL,
    (control) => HIGH_CONTROLS[control.charCodeAt(0) - 0x80] as string,
  );
}

/** One convincing run in a text that is UTF-8 throughout speaks for all; else each for itself. */
function repairOnce(text: string): string {
  if (!RUN.test(text) || !CONVINCING.test(text)) return text;
  const whole = decodeDisguised(text);
  if (whole !== null) return whole;
  return text.replace(RUNS, (run) => (CONVINCING.test(run) ? (decodeDisguised(run) ?? run) : run));
}

/** The text's bytes in Windows-1252, read as UTF-8; null when they are not. */
function decodeDisguised(text: string): string | null {
  const bytes = Array.from(text, (character) => BYTE_OF.get(character));
  if (bytes.includes(undefined)) return null;
  try {
    return decoder.decode(Uint8Array.from(bytes as number[]));
  } catch {
    return null;
  }
}
