/** Where a text stops being JSON. */
import { describe, expect, it } from 'vitest';
import { faultInJson } from '../../lib/data/json-fault.js';

/** A bar stands before what is wrong. */
const FAULTS = [
  '|',
  ' {"a": [1, 2|',
  '{"a": "cut|',
  '{"a": "cut \\u00e9|',
  '{"a": "no|\\x escape"}',
  '{"a": "no|\nline"}',
  '[1,|,2]',
  '[1,|]',
  '[1|:2]',
  '[0|1]',
  '[1.5e3, 1|.]',
  '[|.5]',
  '[|+1]',
  '[|nul]',
  '[true|false]',
  '{|1: 2}',
  '{"a"|, 2}',
  '{"a":|}',
  '{"a": 1,|}',
  "{|'a': 1}",
  '[{}|}',
  '{"a": 1|]',
  '{} |{}',
  '|\uFEFF{}',
];

describe('faultInJson', () => {
  it.each(FAULTS)('is at the bar in %j', (marked) => {
    const text = marked.replace('|', '');
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    expect(faultInJson(text)).toBe(marked.indexOf('|'));
  });

  it('finds the fault behind nesting and strings of any length', () => {
    const deep = '['.repeat(300_000);
    expect(faultInJson(deep)).toBe(deep.length);
    const long = `["${'x\\"'.repeat(1_000_000)}", oops]`;
    expect(faultInJson(long)).toBe(long.indexOf('oops'));
  });

  it('finds nothing wrong before the end of what was cut off', () => {
    const text = JSON.stringify({ a: [1, -2.5e-7, 'é"\\\n'], b: { c: null, d: [true, {}] } });
    for (let length = 0; length < text.length; length++) {
      const cut = text.slice(0, length);
      const fault = faultInJson(cut);
      // A word or number that was cut is wrong as a whole.
      expect(cut.slice(fault)).toMatch(/^(|-|\.|e-?|t|tr|tru|n|nu|nul|\\)$/);
    }
  });
});
