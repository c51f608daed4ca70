/** The addon in a process: worker threads, exit at a bad moment, two copies, many calls. */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { native } from '../../lib/native.js';
import { loadTiny, places, someImage, someTokens, testFolder, tinyBundle } from './bundle.js';

interface Ending {
  code: number | null;
  signal: string | null;
  output: string;
}

/** Runs a module's text in a Node process of its own, with `open()` and `bundle` at hand. */
async function runScript(body: string, extra: Record<string, unknown> = {}): Promise<Ending> {
  const given = JSON.stringify({ places: places(), bundle: tinyBundle, ...extra });
  const script = `
    import { Worker } from 'node:worker_threads';
    import { openAddon, gradient } from ${JSON.stringify(join(testFolder, 'direct.mjs'))};
    const given = ${given};
    const { bundle } = given;
    const open = () => openAddon(given.places);
    ${body}`;
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', script]);
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

async function expectOutput(script: Promise<Ending>, text: string, code = 0): Promise<void> {
  const ending = await script;
  expect(ending, ending.output).toMatchObject({ code, signal: null });
  expect(ending.output).toContain(text);
}

const loadInside = `
  const native = open();
  const model = await native.loadModel(native.createJob(), bundle, 'cpu', 'float32', 0);
  const image = gradient(native, 512, 512);`;

describe('the end of a process', () => {
  it('comes by itself when nothing is in flight', async () => {
    await expectOutput(
      runScript(`${loadInside} console.log('loaded', model.info().dtype);`),
      'loaded',
    );
  });

  it('waits for a promise in flight', async () => {
    const body = `${loadInside}
      model.proposeMasks(native.createJob(), image).then((all) => console.log('got', all.length));`;
    await expectOutput(runScript(body), 'got 7');
  });

  it.each([0, 1, 5, 15, 30])(
    'may come by process.exit while a call runs (%i ms)',
    async (delay) => {
      const body = `${loadInside}
      for (let i = 0; i < 8; i += 1) model.proposeMasks(native.createJob(), image).catch(() => {});
      setTimeout(() => { console.log('leaving'); process.exit(7); }, ${delay});`;
      await expectOutput(runScript(body), 'leaving', 7);
    },
  );

  it('may come by an uncaught error while a call runs', async () => {
    const body = `${loadInside}
      model.proposeMasks(native.createJob(), image).catch(() => {});
      setTimeout(() => { throw new Error('thrown on purpose'); }, 5);`;
    await expectOutput(runScript(body), 'thrown on purpose', 1);
  });

  it('refuses new calls once it has begun', async () => {
    const body = `${loadInside}
      process.on('exit', () => {
        try { native.createJob(); model.info(); } catch {}
        model.proposeMasks(native.createJob(), image).catch(() => {});
        console.log('refused quietly');
      });`;
    await expectOutput(runScript(body), 'refused quietly');
  });
});

const workerBody = `
  const { parentPort, workerData } = require('node:worker_threads');
  (async () => {
    const { openAddon, gradient } = await import(workerData.direct);
    const native = openAddon(workerData.places);
    const model = await native.loadModel(native.createJob(), workerData.bundle, 'cpu', 'float32', 1);
    const image = gradient(native, 64, 64);
    const running = model.proposeMasks(native.createJob(), image);
    parentPort.postMessage('running');
    if (workerData.finish) {
      parentPort.postMessage((await running).length);
      await model.dispose();
    } else {
      running.catch(() => {});
      setInterval(() => model.proposeMasks(native.createJob(), image).catch(() => {}), 1);
    }
  })();`;

function startWorker(finish: boolean): Worker {
  const direct = join(testFolder, 'direct.mjs');
  const workerData = { direct, places: places(), bundle: tinyBundle, finish };
  return new Worker(workerBody, { eval: true, workerData });
}

function messages(worker: Worker, count: number): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const all: unknown[] = [];
    worker.on('error', reject);
    worker.on('message', (message) => {
      all.push(message);
      if (all.length === count) resolve(all);
    });
  });
}

describe('worker threads', () => {
  it('run beside the main thread', async () => {
    const model = await loadTiny();
    const workers = [1, 2, 3].map(() => startWorker(true));
    const ends = workers.map((worker) => new Promise((resolve) => worker.on('exit', resolve)));
    const answers = await Promise.all(workers.map((worker) => messages(worker, 2)));
    const own = await model.proposeMasks(native().createJob(), someImage(64, 64));
    expect(answers).toEqual([1, 2, 3].map(() => ['running', own.length]));
    expect(await Promise.all(ends)).toEqual([0, 0, 0]);
    await model.dispose();
  });

  it('may be terminated fifty times while they compute', async () => {
    await loadTiny().then((model) => model.dispose());
    for (let i = 0; i < 50; i += 5) {
      const workers = Array.from({ length: 5 }, () => startWorker(false));
      await Promise.all(workers.map((worker) => messages(worker, 1)));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    const text = await loadTiny().then(async (model) => {
      const result = await model.encodeText(native().createJob(), someTokens(1, 4));
      await model.dispose();
      return result;
    });
    expect(text.shape[0]).toBe(1);
  }, 180_000);
});

describe('two copies of the package', () => {
  it('share LibTorch and the ops, and refuse each other’s objects', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lexiseg-copy-'));
    const { loader, addon, libraries } = places();
    const copied = (path: string) => {
      const target = join(folder, basename(path));
      copyFileSync(path, target);
      return target;
    };
    const own = dirname(addon);
    const second = {
      loader: copied(loader),
      addon: copied(addon),
      libraries: libraries.map((path) => (dirname(path) === own ? copied(path) : path)),
    };
    const body = `
      const first = open();
      const other = openAddon(given.second);
      const results = [];
      for (const native of [first, other]) {
        const model = await native.loadModel(native.createJob(), bundle, 'cpu', 'float32', 0);
        const image = gradient(native, 64, 64);
        results.push(await model.proposeMasks(native.createJob(), image));
      }
      const [a, b] = results.map((tensors) => [...tensors[0].data()]);
      console.log('same', a.every((value, i) => value === b[i]));
      const model = await first.loadModel(first.createJob(), bundle, 'cpu', 'float32', 0);
      await model.proposeMasks(first.createJob(), gradient(other, 8, 8))
        .catch((error) => console.log(error.name));
      const { readFileSync } = await import('node:fs');
      const maps = readFileSync('/proc/self/maps', 'utf8').split('\\n');
      const ops = new Set(maps.filter((l) => l.includes('liblexiseg_ops')).map((l) => l.split(/ +/)[5]));
      console.log('ops libraries', ops.size);`;
    const ending = await runScript(body, { second });
    rmSync(folder, { recursive: true });
    expect(ending, ending.output).toMatchObject({ code: 0, signal: null });
    expect(ending.output).toContain('same true');
    expect(ending.output).toContain('TypeError');
    expect(ending.output).toContain('ops libraries 1');
  });
});

describe('many calls', () => {
  it('leave the resident set where it was after a thousand', async () => {
    const body = `
      const native = open();
      const model = await native.loadModel(native.createJob(), bundle, 'cpu', 'float32', 1);
      const image = gradient(native, 96, 96);
      const tokens = native.copyTensor(new BigInt64Array(8).fill(9n), [1, 8], 'int64');
      const round = async (count) => {
        for (let i = 0; i < count; i += 1) {
          const proposals = await model.proposeMasks(native.createJob(), image);
          const text = await model.encodeText(native.createJob(), tokens);
          proposals[0].data();
          for (const tensor of [...proposals, text]) tensor.dispose();
          if (i % 50 === 0) { global.gc(); await new Promise((r) => setImmediate(r)); }
        }
        global.gc();
        await new Promise((r) => setTimeout(r, 50));
        return native.memoryStats();
      };
      const before = await round(100);
      const after = await round(500);
      console.log(JSON.stringify({ growth: after.rss / before.rss, handles: after.handles }));`;
    const ending = await runScript(body);
    expect(ending, ending.output).toMatchObject({ code: 0, signal: null });
    const { growth, handles } = JSON.parse(ending.output);
    expect(handles).toBe(2);
    expect(growth).toBeLessThan(1.05);
  }, 240_000);

  it('free what the garbage collector finds, without dispose', async () => {
    const body = `
      const native = open();
      const settle = async () => {
        for (let i = 0; i < 4; i += 1) { global.gc(); await new Promise((r) => setTimeout(r, 5)); }
      };
      const make = () => { for (let i = 0; i < 100; i += 1) native.allocTensor([1 << 18], 'float32', false).data(); };
      make();
      await settle();
      console.log('handles', native.memoryStats().handles, 'bytes', native.memoryStats().tensors.cpu);`;
    await expectOutput(runScript(body), 'handles 0 bytes 0');
  });
});
