/**
 * What CLIP's tokenizer does to text before splitting it: ftfy's repairs, HTML entities decoded
 * twice, white space collapsed. Lower case is left to the tokenizer.
 */
import { unescapeHtml, unescapeStrictHtml } from './html-entities.js';
import { repairEncoding } from './mojibake.js';

/** Cleaned text: one line, single spaces, no spaces at the ends. */
export function cleanText(text: string): string {
  // Most prompts are plain ASCII without entities or control characters: nothing to repair.
  const repaired = PLAIN.test(text) ? text : unescapeHtml(unescapeHtml(fixText(text)));
  return repaired.split(WHITE_SPACE).filter(Boolean).join(' ');
}

const PLAIN = /^[\x20-\x25\x27-\x7e]*$/;
/** What Python's str.split() splits on; differs from \s in U+001C to U+001F, U+0085, U+FEFF. */
const WHITE_SPACE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these control characters are spaces
  /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/** As ftfy.fix_text: each line is repaired until nothing changes. */
function fixText(text: string): string {
  let entities = true;
  let fixed = '';
  for (const line of text.split(/(?<=\n)/)) {
    // A literal "<" means that the text is HTML, whose entities are meant; so for the rest too.
    if (line.includes('<')) entities = false;
    fixed += fixLine(line, entities);
  }
  return fixed;
}

function fixLine(line: string, entities: boolean): string {
  let current = line;
  for (;;) {
    const before = current;
    if (entities) current = unescapeStrictHtml(current);
    current = repairEncoding(current);
    for (const fix of FIXES) current = fix(current);
    if (current === before) return current;
  }
}

const LIGATURES: Readonly<Record<string, string>> = {
  Ĳ: 'IJ',
  ĳ: 'ij',
  ŉ: "'n",
  Ǳ: 'DZ',
  ǲ: 'Dz',
  ǳ: 'dz',
  Ǆ: 'DŽ',
  ǅ: 'Dž',
  ǆ: 'dž',
  Ǉ: 'LJ',
  ǈ: 'Lj',
  ǉ: 'lj',
  Ǌ: 'NJ',
  ǋ: 'Nj',
  ǌ: 'nj',
  ﬀ: 'ff',
  ﬁ: 'fi',
  ﬂ: 'fl',
  ﬃ: 'ffi',
  ﬄ: 'ffl',
  ﬅ: 'ſt',
  ﬆ: 'st',
};
const LIGATURE = new RegExp(`[${Object.keys(LIGATURES).join('')}]`, 'g');

/** Full-width ASCII, half-width katakana and hangul, and the ideographic space. */
const OTHER_WIDTH = /[\u3000\uff01-\uffef]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a sequence
const TERMINAL_ESCAPE = /\x1b\[[\d;]*[a-zA-Z]/g;
const CONTROL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this is the list of those to drop
  /[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;

const FIXES: readonly ((text: string) => string)[] = [
  (text) => text.replace(LIGATURE, (ligature) => LIGATURES[ligature] as string),
  (text) => text.replace(OTHER_WIDTH, (character) => character.normalize('NFKC')),
  (text) => text.replace(/[\u201c-\u201f]/g, '"').replace(/[\u02bc\u2018-\u201b]/g, "'"),
  (text) => text.replace(/\r\n|[\r\u2028\u2029\x85]/g, '\n'),
  (text) => text.replace(/\p{Surrogate}/gu, '\ufffd'),
  (text) => text.replace(TERMINAL_ESCAPE, ''),
  (text) => text.replace(CONTROL, ''),
  (text) => text.normalize('NFC'),
];
