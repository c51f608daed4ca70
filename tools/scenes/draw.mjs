/** Draws many pictures on worker threads and gives them in order. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** Pictures that each thread may be ahead of the one awaited. */
const AHEAD = 6;

/**
 * @param {{ kind: 'scenes' | 'crops' | 'videos', seed: number, icons: string[], classes: string, plain: number, side?: number, frames?: number }} world
 *   `side` of crops, pixels; `frames` of each video
 * @param {Iterable<number>} indices in the order in which results come
 * @param {{ threads?: number, signal?: AbortSignal }} options
 */
export async function* draw(world, indices, { threads = availableParallelism(), signal } = {}) {
  const order = indices[Symbol.iterator]();
  const waiting = [];
  const settle = new Map();
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: world });
    worker.on('message', (result) => settle.get(result.index)?.resolve(result));
    worker.on('error', (error) => {
      for (const { reject } of settle.values()) reject(error);
    });
    return worker;
  });
  let turn = 0;
  const submit = () => {
    const { value: index, done } = order.next();
    if (done) return;
    const result = new Promise((resolve, reject) => settle.set(index, { resolve, reject }));
    result.catch(() => {});
    waiting.push({ index, result });
    workers[turn++ % workers.length].postMessage(index);
  };
  try {
    for (let i = 0; i < AHEAD * threads; i++) submit();
    while (waiting.length > 0) {
      signal?.throwIfAborted();
      const { index, result } = waiting.shift();
      const drawn = await result;
      settle.delete(index);
      if (drawn.error !== undefined) throw new Error(`picture ${index}: ${drawn.error}`);
      submit();
      yield drawn;
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
