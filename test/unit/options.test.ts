/** Options: misspelt keys, wrong types, values out of range, and the defaults. */
import { describe, expect, it } from 'vitest';
import { parseSegmentOptions } from '../../lib/inference/segment-options.js';
import { parseLoadOptions } from '../../lib/load-options.js';
import { parseManifest } from '../../lib/manifest.js';
import { checkOptions, nearestName } from '../../lib/options.js';
import { sampleManifest } from '../fixtures/manifest.js';

const manifest = parseManifest(JSON.stringify(sampleManifest()));
const parse = (options: object) => parseSegmentOptions(options, manifest, 'cpu');

describe('checkOptions', () => {
  it('names a misspelt key and the nearest known one', () => {
    expect(() => parse({ ouputSize: { width: 1, height: 1 } })).toThrow(
      'Unknown option "ouputSize" in options; did you mean "outputSize"?',
    );
    expect(() => parse({ thresholds: { objectmask: 0.5 } })).toThrow(/did you mean "objectMask"/);
  });

  it('lists the known keys when none is near', () => {
    expect(() => checkOptions({ quux: 1 }, ['device', 'dtype'], 'options')).toThrow(
      /device, dtype/,
    );
    expect(nearestName('x'.repeat(100_000), ['device'])).toBeUndefined();
  });

  it('refuses what is no object', () => {
    for (const value of [null, 1, 'x', [], true]) {
      expect(() => parse(value as object)).toThrow(/Expected an object for options/);
    }
  });
});

describe('parseSegmentOptions', () => {
  it('takes thresholds from the manifest and the rest from the defaults', () => {
    expect(parse({})).toMatchObject({
      task: 'panoptic',
      thresholds: { objectMask: 0, overlap: 0.8, instanceScore: 0, instanceTopK: 100 },
      resizeScores: true,
      batchSize: 1,
      outputSize: undefined,
    });
    expect(parseSegmentOptions({}, manifest, 'cuda:0').batchSize).toBe(4);
  });

  it('lets each threshold be set alone', () => {
    const { thresholds } = parse({ thresholds: { overlap: 0.5 } });
    expect(thresholds).toMatchObject({ objectMask: 0, overlap: 0.5 });
  });

  it('refuses values out of range in the one form', () => {
    const cases: [object, RegExp][] = [
      [
        { task: 'detection' },
        /Expected one of "semantic".* for options.task but received "detection"/,
      ],
      [{ batchSize: 0 }, /Expected an integer from 1 to 256 for options.batchSize but received 0/],
      [{ batchSize: 1.5 }, /options.batchSize/],
      [
        { thresholds: { overlap: Number.NaN } },
        /a number from 0 to 1 for options.thresholds.overlap/,
      ],
      [{ thresholds: { instanceTopK: '5' } }, /Expected an integer .*instanceTopK/],
      [{ outputSize: { width: 0, height: 5 } }, /options.outputSize.width/],
      [{ outputSize: { width: 5 } }, /options.outputSize.height/],
      [{ outputSize: { width: 32_768, height: 32_768 } }, /at most 100000000 pixels/],
      [{ outputSize: { width: 32_769, height: 1 } }, /options.outputSize.width/],
      [{ outputSize: [3, 4] }, /Expected an object for options.outputSize/],
      [{ semanticResize: true }, /options.semanticResize/],
      [{ onProgress: 5 }, /Expected a function for options.onProgress/],
    ];
    for (const [options, message] of cases) expect(() => parse(options)).toThrow(message);
  });

  it('refuses a task that the bundle does not have', () => {
    const limited = { ...manifest, tasks: ['semantic'] as const };
    expect(() => parseSegmentOptions({ task: 'instance' }, limited, 'cpu')).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED' }),
    );
  });
});

describe('parseLoadOptions', () => {
  it('accepts devices by number and refuses others', () => {
    expect(parseLoadOptions({ device: 'cuda:3' }).device).toBe('cuda:3');
    for (const device of ['gpu', 'cuda:', 'cuda:-1', 'CPU', 5]) {
      expect(() => parseLoadOptions({ device: device as 'cpu' })).toThrow(/options.device|"cpu"/);
    }
    expect(() => parseLoadOptions({ threads: -1 })).toThrow(/options.threads/);
    expect(() => parseLoadOptions({ dtype: 'float16' as 'float32' })).toThrow(/options.dtype/);
  });
});
