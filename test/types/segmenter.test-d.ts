/** What must and must not compile. */
import sharp from 'sharp';
import { describe, expectTypeOf, it } from 'vitest';
import type {
  ErrorCode,
  InstanceSegmentation,
  PanopticSegmentation,
  Proposals,
  Segmentation,
  Segmenter,
  SegmentOptions,
  SemanticSegmentation,
  Vocabulary,
} from '../../lib/index.js';
import { type LexisegError, Tensor } from '../../lib/index.js';

declare const segmenter: Segmenter;
declare const vocabulary: Vocabulary;
declare const options: SegmentOptions;

describe('segment', () => {
  it('gives one result for one image and a list for a list', () => {
    expectTypeOf(
      segmenter.segment('a.jpg', vocabulary),
    ).resolves.toEqualTypeOf<PanopticSegmentation>();
    expectTypeOf(segmenter.segment(['a.jpg'], ['cat'])).resolves.toEqualTypeOf<
      PanopticSegmentation[]
    >();
  });

  it('follows the task', () => {
    expectTypeOf(
      segmenter.segment('a.jpg', vocabulary, { task: 'semantic' }),
    ).resolves.toEqualTypeOf<SemanticSegmentation>();
    expectTypeOf(
      segmenter.segment(['a.jpg'], vocabulary, { task: 'instance', batchSize: 2 }),
    ).resolves.toEqualTypeOf<InstanceSegmentation[]>();
    expectTypeOf(segmenter.segment('a.jpg', vocabulary, options)).resolves.toEqualTypeOf<
      SemanticSegmentation | PanopticSegmentation | InstanceSegmentation
    >();
  });

  it('accepts every kind of image, and proposals', () => {
    const data = new Uint8Array(3);
    expectTypeOf(segmenter.segment).toBeCallableWith(
      [Buffer.from(''), data, data.buffer, { data, width: 1, height: 1 }, sharp('a.jpg')],
      ['cat|kitten', { name: 'dog', synonyms: ['puppy'], thing: true, color: '#ff0000' }],
    );
    expectTypeOf<Proposals>().toExtend<Parameters<Segmenter['segment']>[0][number] | Proposals>();
  });

  it('refuses unknown tasks, options and images', () => {
    // @ts-expect-error no such task
    segmenter.segment('a.jpg', vocabulary, { task: 'detection' });
    // @ts-expect-error misspelt option
    segmenter.segment('a.jpg', vocabulary, { ouputSize: { width: 1, height: 1 } });
    // @ts-expect-error a number is no image
    segmenter.segment(5, vocabulary);
    // @ts-expect-error a vocabulary is needed
    segmenter.segment('a.jpg');
    // @ts-expect-error a class needs a name
    segmenter.createVocabulary([{ synonyms: ['cat'] }]);
  });

  it('narrows a segmentation by its task', () => {
    const read = (result: SemanticSegmentation | InstanceSegmentation): Int32Array | undefined =>
      result.task === 'semantic' ? result.labelMap : undefined;
    expectTypeOf(read).returns.toEqualTypeOf<Int32Array | undefined>();
    expectTypeOf<PanopticSegmentation>().toExtend<Segmentation>();
  });
});

describe('handles', () => {
  it('are made by the package only, and work with using', () => {
    // @ts-expect-error the constructor is private
    new Tensor({});
    expectTypeOf<Tensor>().toExtend<Disposable>();
    expectTypeOf<Segmenter>().toExtend<AsyncDisposable>();
    expectTypeOf<LexisegError['code']>().toEqualTypeOf<ErrorCode>();
  });
});
