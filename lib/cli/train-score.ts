/** Scores of a bundle in training, as `lexiseg eval` would give them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { groupNames } from '../evaluation/class-groups.js';
import { classInputs } from '../evaluation/class-inputs.js';
import { tasksOf } from '../evaluation/evaluate.js';
import type { Device, GroupScores, Task, Trainer } from '../index.js';
import { oneOf } from '../options.js';
import { partOf } from '../training/run-folder.js';
import { byFirstName, scoredClasses, type TrainedClasses } from './train-classes.js';
import type { EvaluationSource } from './train-config.js';

/** The run whose weights are scored. */
interface ScoredRun {
  readonly trainer: Trainer;
  /** Classes of the run; none where captions are trained on. */
  readonly trained: TrainedClasses | undefined;
  /** Of the run; the bundle to be scored lies there meanwhile. */
  readonly folder: string;
  /** The figure that decides which weights are the best. */
  readonly watch: string | undefined;
  readonly signal: AbortSignal;
}

interface Figure {
  readonly task: Task;
  /** Of every group of classes, whose name follows it. */
  readonly name: string;
  readonly of: (scores: GroupScores) => number | undefined;
}

/** In the order of a report; by default the first is watched. */
const FIGURES: readonly Figure[] = [
  { task: 'panoptic', name: 'pq', of: ({ panoptic }) => panoptic?.pq },
  { task: 'semantic', name: 'miou', of: ({ semantic }) => semantic?.miou },
  { task: 'instance', name: 'ap', of: ({ instance }) => instance?.ap },
];

type Score = () => Promise<Record<string, number>>;

/**
 * Opens the data of a run's evaluations: the function exports the weights as they are and scores them.
 *
 * @throws LexisegError `ERR_DATA` for what the data set has wrong, `ERR_UNSUPPORTED` where it cannot
 *   score what the bundle does; a TypeError for a watched figure that there can never be.
 */
export async function openScores(source: EvaluationSource, run: ScoredRun): Promise<Score> {
  const { trainer, trained, folder, watch, signal } = run;
  // The first process scores for all.
  if (trainer.info.rank > 0) return async () => ({});
  const { evaluate, openDataset, Segmenter } = await import('../index.js');
  const dataset = await openDataset(source.dataset, source.folder, source.split ?? 'val');
  const tasks = tasksOf(trainer, dataset, undefined);
  const figures = FIGURES.filter(({ task }) => tasks.includes(task));
  const names = groupNames(dataset.classes).flatMap((group) =>
    // Stuff has no objects to be precise about.
    figures.flatMap(({ task, name }) =>
      task === 'instance' && group === 'stuff' ? [] : [`${name} ${group}`],
    ),
  );
  if (watch !== undefined) oneOf(watch, names, 'run.watch');
  const words = trained ? scoredClasses(dataset, trained) : classInputs(dataset, undefined);
  const vocabulary = source.names === 'plain' ? words.map(byFirstName) : words;
  const options = { vocabulary, limit: source.limit, signal };
  const { device } = trainer.info;
  return async () => {
    const path = partOf(join(folder, 'evaluating.pt'));
    try {
      await trainer.exportBundle(path);
      // Each evaluation has weights of its own, whose texts nobody asks for again.
      const loading = { device: device as Device, cache: false, signal };
      await using segmenter = await Segmenter.load(path, loading);
      const report = await evaluate(segmenter, dataset, options);
      const values = Object.entries(report.groups).flatMap(([group, scores]) =>
        figures.map(({ name, of }) => [`${name} ${group}`, of(scores) ?? Number.NaN] as const),
      );
      // The watched one may be no number for a while: that is no progress, but no mistake.
      const told = values.filter(([name, value]) => Number.isFinite(value) || name === watch);
      return Object.fromEntries(told);
    } finally {
      rmSync(path, { force: true });
    }
  };
}
