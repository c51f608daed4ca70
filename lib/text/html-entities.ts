/** HTML character references, decoded as Python's html.unescape and as ftfy do. */
import { decodeHTML, decodeHTMLStrict } from 'entities';

const REFERENCE = /&(?:#\d+;?|#[xX][\da-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/g;
const TERMINATED = /&#?[\dA-Za-z]{1,24};/g;

/** As html.unescape: the longest known name counts, even without a semicolon. */
export function unescapeHtml(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(REFERENCE, (reference) =>
    reference[1] === '#' ? decodeNumber(reference) : decodeHTML(reference),
  );
}

/** As ftfy's unescape_html: only whole references with a semicolon, and all-caps Latin names. */
export function unescapeStrictHtml(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(TERMINATED, (reference) => {
    if (reference[1] === '#') {
      const decoded = unescapeHtml(reference);
      return decoded.includes(';') ? reference : decoded;
    }
    const decoded = decodeHTMLStrict(reference);
    return decoded === reference ? decodeShouted(reference) : decoded;
  });
}

/** `&EACUTE;` is É, when that name means nothing itself and its lower-case name does. */
function decodeShouted(reference: string): string {
  if (reference !== reference.toUpperCase() || decodeHTML(reference) !== reference)
    return reference;
  const quiet = reference.toLowerCase();
  const decoded = decodeHTMLStrict(quiet);
  return decoded === quiet ? reference : decoded.toUpperCase();
}

function decodeNumber(reference: string): string {
  const digits = reference.replace(/^&#|;$/g, '');
  const code = /^[xX]/.test(digits) ? Number.parseInt(digits.slice(1), 16) : Number(digits);
  const replaced = WINDOWS_1252[code - 0x80];
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return '\ufffd';
  if (code === 0x0d) return '\r';
  if (replaced !== undefined) return replaced;
  return isForbidden(code) ? '' : String.fromCodePoint(code);
}

/** Control characters and non-characters, which html.unescape drops. */
function isForbidden(code: number): boolean {
  return (
    (code >= 0x1 && code <= 0x8) ||
    code === 0xb ||
    (code >= 0xe && code <= 0x1f) ||
    (code >= 0x7f && code <= 0x9f) ||
    (code >= 0xfdd0 && code <= 0xfdef) ||
    (code & 0xfffe) === 0xfffe
  );
}

/** What &#128; to &#159; stand for. */
const WINDOWS_1252 = [
  ...'\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f',
  ...'\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178',
];
