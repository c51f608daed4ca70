/** Scores of a bundle in training, as `lexiseg eval` would give them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Device, Trainer } from '../index.js';
import { scoredClasses, type TrainedClasses } from './train-classes.js';
import type { SegmentationSource } from './train-config.js';

/**
 * Exports the weights as they are and scores them.
 *
 * @param folder of the run
 * @param trained classes of the run; none where captions are trained on
 */
export function scorer(
  source: SegmentationSource & { readonly limit?: number },
  folder: string,
  trained: TrainedClasses | undefined,
  signal: AbortSignal,
): (trainer: Trainer) => Promise<Record<string, number>> {
  return async (trainer) => {
    const { evaluate, openDataset, Segmenter } = await import('../index.js');
    const path = join(folder, 'evaluating.pt');
    await trainer.exportBundle(path);
    const segmenter = await Segmenter.load(path, {
      device: trainer.info.device as Device,
      signal,
    });
    try {
      const dataset = await openDataset(source.dataset, source.folder, source.split ?? 'val');
      const vocabulary = trained && scoredClasses(dataset, trained);
      const options = { vocabulary, limit: source.limit, signal };
      const { groups } = await evaluate(segmenter, dataset, options);
      const figures = Object.entries(groups).flatMap(([name, scores]) => [
        [`pq ${name}`, scores.panoptic?.pq],
        [`miou ${name}`, scores.semantic?.miou],
        [`ap ${name}`, scores.instance?.ap],
      ]);
      return Object.fromEntries(figures.filter(([, value]) => Number.isFinite(value)));
    } finally {
      await segmenter.dispose();
      rmSync(path, { force: true });
    }
  };
}
