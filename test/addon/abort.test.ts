/** Cancellation in every state of a call. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../lib/native.js';
import type { NativeModel } from '../../lib/native-model.js';
import { expectCode, loadTiny, someImage, someTokens } from './bundle.js';

let model: NativeModel;

beforeAll(async () => {
  model = await loadTiny();
});

afterAll(async () => {
  await model.dispose();
});

describe('cancel', () => {
  it('refuses a call that begins afterwards', async () => {
    const job = native().createJob();
    job.cancel();
    await expectCode(() => model.encodeText(job, someTokens(1, 4)), 'ERR_ABORTED');
  });

  it('drops a waiting call at once', async () => {
    const image = someImage(300, 300);
    const first = model.proposeMasks(native().createJob(), image);
    const job = native().createJob();
    const waiting = model.proposeMasks(job, image);
    job.cancel();
    let firstSettled = false;
    void first.then(() => {
      firstSettled = true;
    });
    await expectCode(() => waiting, 'ERR_ABORTED');
    expect(firstSettled).toBe(false);
    expect((await first).length).toBeGreaterThan(0);
  });

  it('rejects a running call at once and leaves the executor working', async () => {
    const image = someImage(512, 512);
    for (let delay = 0; delay < 12; delay += 1) {
      const job = native().createJob();
      const running = model.proposeMasks(job, image);
      const outcome = running.then(
        () => 'done',
        (error) => error.code,
      );
      await new Promise((resolve) => setTimeout(resolve, delay * 2));
      const begun = performance.now();
      job.cancel();
      const code = await outcome;
      expect(['ERR_ABORTED', 'done']).toContain(code);
      if (code === 'ERR_ABORTED') expect(performance.now() - begun).toBeLessThan(50);
    }
    const text = await model.encodeText(native().createJob(), someTokens(2, 4));
    expect(text.shape[0]).toBe(2);
  });

  it('does nothing once a call has settled, however often', async () => {
    const job = native().createJob();
    const text = await model.encodeText(job, someTokens(1, 4));
    job.cancel();
    job.cancel();
    expect(text.data().length).toBe(text.shape[1]);
  });

  it('does nothing on a job that was never used', () => {
    const job = native().createJob();
    job.cancel();
    job.cancel();
  });

  it('cancels loading', async () => {
    const job = native().createJob();
    const { weights } = native().memoryStats();
    const loading = native().loadModel(
      job,
      new URL('../../models/bundles/tiny-fc-clip.pt', import.meta.url).pathname,
      'cpu',
      'float32',
      0,
    );
    job.cancel();
    await expectCode(() => loading, 'ERR_ABORTED');
    expect(native().memoryStats().weights).toBe(weights);
  });

  it('leaves no work behind', async () => {
    const image = someImage(128, 128);
    const jobs = Array.from({ length: 40 }, () => native().createJob());
    const calls = jobs.map((job) => model.proposeMasks(job, image).catch((error) => error.code));
    for (const job of jobs) job.cancel();
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['ERR_ABORTED']));
    await model.encodeText(native().createJob(), someTokens(1, 4));
    expect(native().memoryStats().waiting).toBe(0);
  });
});
