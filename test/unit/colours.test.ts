/** Colours of classes, and text in pictures. */
import { describe, expect, it } from 'vitest';
import { colourOfClass, colourOfName, oklchToRgb, toHex } from '../../lib/results/colours.js';
import { cutText, escapeXml, textWidth } from '../../lib/results/svg-text.js';

describe('colours', () => {
  it('depend on the name alone and never change', () => {
    expect(toHex(colourOfName('cat'))).toBe(toHex(colourOfName('CAT')));
    expect(
      [colourOfName('cat'), colourOfName('sky'), colourOfName('wooden floor')].map(toHex),
    ).toEqual(STABLE);
  });

  it('let a class name its own', () => {
    expect(colourOfClass({ name: 'cat', color: '#102030' })).toEqual([16, 32, 48]);
  });

  it('spread over many hues', () => {
    const names = Array.from({ length: 150 }, (_, index) => `class ${index}`);
    expect(new Set(names.map((name) => toHex(colourOfName(name)))).size).toBeGreaterThan(60);
  });

  it('turn OKLCH into sRGB', () => {
    expect(oklchToRgb(1, 0, 0)).toEqual([255, 255, 255]);
    expect(oklchToRgb(0, 0, 0)).toEqual([0, 0, 0]);
    const [red, green, blue] = oklchToRgb(0.628, 0.2577, 29.23);
    expect(red).toBeGreaterThan(235);
    expect(Math.max(green, blue)).toBeLessThan(50);
  });
});

describe('text in SVG', () => {
  it('escapes markup and drops what XML cannot hold', () => {
    expect(escapeXml('<a href="x">&\u0000\ud800</a>')).toBe(
      '&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;',
    );
    expect(escapeXml('猫😀')).toBe('猫😀');
  });

  it('cuts long names with an ellipsis inside the limit', () => {
    const cut = cutText('x'.repeat(5000), 12, 100);
    expect(cut.endsWith('…')).toBe(true);
    expect(textWidth(cut, 12)).toBeLessThanOrEqual(100);
    expect(cutText('cat', 12, 100)).toBe('cat');
    expect(cutText('cat', 12, 5)).toBe('');
  });
});

const STABLE = ['#18e3df', '#b8c3fe', '#de70c6'];
