/** Scale in classes: 847 classes (1,342 names) on a 1024×1024 picture. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Segmenter } from '../../dist/index.js';
import { peakGrowth } from './memory.mjs';
import { askPython, root } from './process.mjs';
import { adeVocabulary, synonymCount } from './vocabulary.mjs';

const SIZE = 1024;

/** @param {{network: string, threads: number, dtype: string}} options */
export async function classes({ network, threads, dtype }) {
  const prepared = askPython('bench.prepare', [network, SIZE]);
  const { bundle, picture } = prepared.sizes[SIZE];
  const { source, classes: list } = adeVocabulary(847);
  const dir = join(root, '.cache', 'bench', 'embeddings-classes');
  rmSync(dir, { recursive: true, force: true });
  const load = () => Segmenter.load(bundle, { device: 'cpu', dtype, threads, cache: { dir } });
  const cold = await vocabularyTime(await load(), list);
  const warm = await load();
  const cached = await vocabularyTime(warm, list, { keep: true });
  const report = {
    vocabulary: source,
    classes: list.length,
    names: synonymCount(list),
    weightBytes: warm.info.weightBytes,
    coldText: cold.milliseconds,
    cachedText: cached.milliseconds,
    labelMap: await labelMapMemory(warm, cached.vocabulary, picture),
  };
  await warm.dispose();
  print(report);
  return report;
}

async function vocabularyTime(segmenter, list, { keep = false } = {}) {
  const started = performance.now();
  const vocabulary = await segmenter.createVocabulary(list, { duplicates: 'keep' });
  const milliseconds = performance.now() - started;
  if (!keep) {
    vocabulary.dispose();
    await segmenter.dispose();
  }
  return { vocabulary, milliseconds };
}

async function labelMapMemory(segmenter, vocabulary, picture) {
  const proposals = await segmenter.proposeMasks(picture);
  const report = {};
  for (const semanticResize of ['scores', 'masks']) {
    const options = { task: 'semantic', semanticResize };
    const { result, milliseconds, bytes } = await peakGrowth(() =>
      segmenter.segment(proposals, vocabulary, options),
    );
    report[semanticResize] = { milliseconds, bytes, found: result.segments.length };
    result.dispose();
  }
  proposals.dispose();
  return report;
}

function print(report) {
  const seconds = (value) => `${(value / 1000).toFixed(2)} s`;
  console.log(`\n${report.classes} classes, ${report.names} names (${report.vocabulary})`);
  console.log(
    `text embeddings: ${seconds(report.coldText)} cold, ${seconds(report.cachedText)} cached`,
  );
  for (const [mode, { bytes, milliseconds, found }] of Object.entries(report.labelMap)) {
    console.log(
      `label map at ${SIZE}×${SIZE}, ${mode} resized: ${(bytes / 1e6).toFixed(0)} MB above ` +
        `what was resident, ${milliseconds.toFixed(0)} ms, ${found} classes found`,
    );
  }
}
