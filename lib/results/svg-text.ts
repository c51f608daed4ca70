/** Text in SVG: an estimate of its width, cutting to fit, escaping. */

/** Fonts by preference; the renderer takes the first that is installed. */
export const FONT =
  'font-family="Inter, DejaVu Sans, Noto Sans, Helvetica, Arial, sans-serif" font-weight="600"';

/** East Asian characters and emoji fill a whole em. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Extended_Pictographic}/u;
const NARROW = /[iljtfrI.,:;'|!()[\] ]/;
const BROAD = /[mwMW@%]/;

/** Width in pixels at a font size; errs on the wide side for DejaVu Sans Bold. */
export function textWidth(text: string, size: number): number {
  let ems = 0;
  for (const character of text) {
    if (/\p{Mark}/u.test(character)) continue;
    if (WIDE.test(character)) ems += 1.05;
    else if (NARROW.test(character)) ems += 0.44;
    else if (BROAD.test(character)) ems += 1.02;
    else ems += character === character.toUpperCase() && /\p{L}/u.test(character) ? 0.8 : 0.71;
  }
  return ems * size;
}

/** Characters of a text that are looked at. */
const LONGEST = 400;

/** The text, with an ellipsis when it is wider than `limit` pixels; empty when nothing fits. */
export function cutText(text: string, size: number, limit: number): string {
  const clean = text.slice(0, LONGEST).replace(/\s+/g, ' ');
  if (text.length <= LONGEST && textWidth(clean, size) <= limit) return clean;
  const characters = [...clean];
  let kept = '';
  let width = textWidth('…', size);
  for (const character of characters) {
    width += textWidth(character, size);
    if (width > limit) break;
    kept += character;
  }
  return [...kept].length < 2 ? '' : `${kept.trimEnd()}…`;
}

/** Text as XML character data; characters that XML cannot hold are dropped. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;');
}
