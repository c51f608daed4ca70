/** Measures the demo's bundles on pictures whose seed training never saw. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  evaluate,
  openDataset,
  reportHtml,
  reportPictures,
  Segmenter,
  trainingReportHtml,
} from '../../dist/index.js';
import { CLIP_PHASES, MASK_PHASES } from './recipe.mjs';
import { crops as cropsOf, zeroShotAccuracy } from './zero-shot.mjs';

const TASKS = ['panoptic', 'semantic'];
const PICTURES = 4;

const round = (value) => Math.round(1e4 * value) / 1e4;

/** PQ and mIoU of seen and unseen classes. */
const figuresOf = ({ groups: { all, seen, unseen } }) =>
  Object.fromEntries(
    Object.entries({ all, seen, unseen }).map(([name, { panoptic, semantic }]) => [
      name,
      { pq: round(panoptic.pq), ...(semantic ? { miou: round(semantic.miou) } : {}) },
    ]),
  );

/** The scores of a bundle on a folder of scenes. */
export async function score(bundle, scenes, options = {}) {
  const { ensemble, tasks = TASKS, limit, pictures = 0, signal } = options;
  const segmenter = await Segmenter.load(bundle, { ensemble, signal });
  try {
    const dataset = await openDataset('coco-panoptic', scenes);
    const report = await evaluate(segmenter, dataset, { tasks, limit, signal });
    const shown =
      pictures > 0
        ? await reportPictures(segmenter, dataset, report, { limit: pictures, signal })
        : [];
    return { report, pictures: shown, figures: figuresOf(report) };
  } finally {
    await segmenter.dispose();
  }
}

/** Each classifier by itself beside the ensemble. */
async function classifiers(bundle, scenes, signal) {
  const kinds = {
    ensemble: undefined,
    'in-vocabulary alone': { alpha: 0, beta: 0 },
    'out-of-vocabulary alone': { alpha: 1, beta: 1 },
  };
  const rows = {};
  for (const [name, ensemble] of Object.entries(kinds)) {
    const options = { ensemble, tasks: ['panoptic'], signal };
    rows[name] = (await score(bundle, scenes, options)).figures;
  }
  return rows;
}

/**
 * Writes `report.json` and pages beside it, and returns what is in it.
 *
 * @param {object} run
 * @param {string} run.work folder of the data and the runs
 * @param {AbortSignal} [run.signal]
 * @param {{ clip: string, masks: string }} bundles of the towers, and of the segmenter
 * @param {string} out folder of the report
 */
export async function measure({ work, signal }, { clip, masks }, out) {
  mkdirSync(out, { recursive: true });
  const report = { zeroShot: {}, segmentation: {} };
  for (const suffix of ['', '-style']) {
    const crops = join(work, `crops-check${suffix}`);
    const scenes = join(work, `scenes-check${suffix}`);
    if (!existsSync(crops)) continue;
    const name = suffix === '' ? 'trained styles' : 'another style';
    const towers = await Segmenter.load(clip);
    try {
      report.zeroShot[name] = await zeroShotAccuracy(towers, cropsOf(crops), { signal });
    } finally {
      await towers.dispose();
    }
    const shown = { pictures: PICTURES, signal };
    const { report: full, pictures, figures } = await score(masks, scenes, shown);
    const alone = await classifiers(masks, scenes, signal);
    report.segmentation[name] = { ...figures, classifiers: alone };
    writeFileSync(join(out, `evaluation${suffix}.html`), reportHtml(full, pictures));
    console.log(`[measure] ${name}: ${JSON.stringify(figures)}`);
  }
  for (const run of [
    ...CLIP_PHASES.map(({ name }) => `clip-${name}`),
    ...MASK_PHASES.map(({ name }) => `masks-${name}`),
  ]) {
    const log = join(work, run, 'events.jsonl');
    if (!existsSync(log)) continue;
    const lines = readFileSync(log, 'utf8').split('\n').filter(Boolean);
    const page = trainingReportHtml(
      `demo: ${run}`,
      lines.map((line) => JSON.parse(line)),
    );
    writeFileSync(join(out, `${run}.html`), page);
  }
  writeFileSync(join(out, 'report.json'), `${JSON.stringify(report, null, 1)}\n`);
  return report;
}
