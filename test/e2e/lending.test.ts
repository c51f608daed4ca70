/** Memory that a caller lends with `copy: 'never'`: how long it is read, and who may take it away. */
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Segmenter, type Vocabulary } from '../../lib/index.js';
import { root, runNode } from '../cli/command.js';
import { drawScene } from '../fixtures/scene.js';
import { TINY_BUNDLE } from './bundle-file.js';

let segmenter: Segmenter;
let vocabulary: Vocabulary;
let picture: Buffer;

beforeAll(async () => {
  segmenter = await Segmenter.load(TINY_BUNDLE, { cache: false });
  vocabulary = await segmenter.createVocabulary(['sky', 'dog']);
  picture = await drawScene(60, 40);
});
afterAll(() => segmenter.dispose());

/** Whether a transfer takes the memory away; some releases of Node refuse it, others copy. */
function canBeTaken(bytes: Uint8Array<ArrayBuffer>): boolean {
  try {
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  } catch (error) {
    expect((error as Error).name).toBe('DataCloneError');
  }
  return bytes.byteLength === 0;
}

describe('lent images', () => {
  it('are read no longer when a call has failed', async () => {
    // Decoding of the second one begins while the first is in the network, and takes its time.
    const slow = sharp();
    let ended = false;
    const options = {
      copy: 'never',
      batchSize: 1,
      onProgress: () => {
        setTimeout(() => {
          ended = true;
          slow.end(picture);
        }, 50);
        throw new Error('enough');
      },
    } as const;
    const call = segmenter.segment([picture, slow, picture], vocabulary, options);
    await expect(call).rejects.toThrow('enough');
    expect(ended).toBe(true);
  });

  it('leave a call that is given its own to end while one of them never comes', async () => {
    const images = [picture, sharp()];
    for (const stop of [
      (signal: AbortSignal) => segmenter.segment(images, vocabulary, { signal }),
      (signal: AbortSignal) => segmenter.segment(sharp(), ['sky', 'dog'], { signal }),
      (signal: AbortSignal) => segmenter.proposeMasks(images, { signal }),
    ]) {
      const call = stop(AbortSignal.timeout(100));
      await expect(call).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    }
    const options = {
      batchSize: 1,
      onProgress: () => {
        throw new Error('enough');
      },
    };
    await expect(segmenter.segment(images, vocabulary, options)).rejects.toThrow('enough');
  });

  it('cannot be moved by their own methods either', async () => {
    // Node 20 has these methods behind a switch.
    const known = 'transfer' in ArrayBuffer.prototype;
    const script = `
      const { Tensor } = await import(process.argv[1]);
      const numbers = new Float32Array([1, 2, 3]);
      const tensor = Tensor.from(numbers, [3], { copy: 'never' });
      for (const method of ['transfer', 'transferToFixedLength']) {
        try {
          numbers.buffer[method]();
        } catch (error) {
          console.log(error.code);
        }
      }
      console.log(numbers.join(' '), tensor.data.join(' '));`;
    const index = join(root, 'dist', 'index.js');
    const flags = [...(known ? [] : ['--harmony-rab-gsab-transfer']), '--input-type=module'];
    const { stdout } = await runNode([...flags, '-e', script, index]);
    expect(stdout).toBe('ERR_TENSOR\nERR_TENSOR\n1 2 3 1 2 3\n');
  });

  it('cannot be transferred, pixels and files alike, while others can', async () => {
    const { data } = await sharp(picture).raw().toBuffer({ resolveWithObject: true });
    for (const copy of ['never', 'auto'] as const) {
      const pixels = Uint8Array.from(data);
      const file = Uint8Array.from(picture);
      const raw = { data: pixels, width: 60, height: 40 };
      for (const image of [raw, file]) {
        using result = await segmenter.segment(image, vocabulary, { copy });
        expect(result.width).toBe(60);
      }
      for (const bytes of [pixels, file]) expect(canBeTaken(bytes), copy).toBe(copy === 'auto');
    }
  });
});
