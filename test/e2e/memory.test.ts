/** What many classes cost in memory, in a process that does nothing else. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root, runNode } from '../cli/command.js';
import { TINY_BUNDLE } from './bundle-file.js';

const SIDE = 1024;
const CLASSES = 847;
/** Their scores at full size would be twelve times as much. */
const MOST_BYTES = 300e6;

it('takes 300 MB at most for 847 classes on 1024 × 1024 pixels', async () => {
  const script = `
    import { Segmenter } from ${JSON.stringify(join(root, 'dist', 'index.js'))};
    import { peakGrowth } from ${JSON.stringify(join(root, 'test', 'bench', 'memory.mjs'))};
    const segmenter = await Segmenter.load(${JSON.stringify(TINY_BUNDLE)}, { device: 'cpu', cache: false });
    const words = Array.from({ length: ${CLASSES} }, (_, i) => 'class ' + i);
    const vocabulary = await segmenter.createVocabulary(words, { templates: 'bare' });
    const data = Uint8Array.from({ length: ${SIDE * SIDE * 3} }, (_, i) => (i * 7 + (i >> 9)) & 255);
    const image = { data, width: ${SIDE}, height: ${SIDE} };
    const grown = {};
    for (const semanticResize of ['scores', 'masks']) {
      const { result, bytes } = await peakGrowth(() =>
        segmenter.segment(image, vocabulary, { task: 'semantic', semanticResize }));
      grown[semanticResize] = { bytes, pixels: result.labelMap.length };
      result.dispose();
    }
    console.log(JSON.stringify(grown));`;
  const args = ['--expose-gc', '--input-type=module', '-e', script];
  const { status, stdout, stderr } = await runNode(args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const grown: Record<string, { bytes: number; pixels: number }> = JSON.parse(stdout);
  expect(Object.keys(grown)).toEqual(['scores', 'masks']);
  for (const [resized, { bytes, pixels }] of Object.entries(grown)) {
    expect(pixels).toBe(SIDE * SIDE);
    expect(bytes, resized).toBeLessThan(MOST_BYTES);
  }
  // The maps of labels and scores alone are 8 bytes a pixel: less would be a measure that sees nothing.
  expect(grown.scores?.bytes).toBeGreaterThan(8 * SIDE * SIDE);
});
