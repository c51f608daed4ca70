/** Things keep their ids: association against none, on moving scenes that nothing was tuned on. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluateVideo, openVipseg, Segmenter } from '../../dist/index.js';
import { DEFAULT_SETS } from '../scenes/icon-set.mjs';
import { claimFolder } from '../scenes/world-file.mjs';
import { writeVideos } from '../scenes/write-videos.mjs';

const BUNDLE = fileURLToPath(new URL('../../models/bundles/demo-fc-clip.pt', import.meta.url));
/** Of the drawn videos; the defaults of tracking were chosen on seed 900003. */
const SEEDS = [900_004, 900_005];
const VIDEOS = 16;
const FRAMES = 24;

const VARIANTS = {
  'no association': { association: 'none' },
  'by queries (MinVIS)': { association: 'queries' },
  'by regions (default)': {},
};

export const claim =
  'Ids of things change less often with association than without, and VPQ and STQ rise.';

export const metrics = [
  { key: 'switches', label: 'changes of id per thing', digits: 2, lower: true },
  { key: 'association', label: 'association quality', digits: 3 },
  { key: 'stq', label: 'STQ', digits: 3 },
  { key: 'vpq', label: 'VPQ, %', digits: 2 },
  { key: 'consistency', label: 'mVC 8, %', digits: 1 },
];

/**
 * @param {{ work: string, icons?: string[], stages: import('./stages.mjs').Stages,
 *   signal: AbortSignal }} options
 */
export async function run({ work, icons = DEFAULT_SETS, stages, signal }) {
  const rows = Object.keys(VARIANTS).map((name) => ({
    name,
    values: Object.fromEntries(metrics.map(({ key }) => [key, []])),
  }));
  const segmenter = await Segmenter.load(BUNDLE);
  try {
    for (const seed of SEEDS) {
      const folder = join(work, `videos-${seed}`);
      const world = { kind: 'videos', seed, icons, classes: 'all', plain: 0.3, frames: FRAMES };
      claimFolder(folder, world);
      await stages.make(join(folder, 'val.txt'), () => {
        console.log(`[video] drawing ${VIDEOS} videos of seed ${seed}`);
        return writeVideos(folder, world, VIDEOS, { signal });
      });
      const dataset = await openVipseg(folder);
      for (const { name, values } of rows) {
        const tracking = VARIANTS[name];
        const report = await evaluateVideo(segmenter, dataset, { tracking, signal });
        values.switches.push(report.idSwitches / report.trueThings);
        values.association.push(report.associationQuality);
        values.stq.push(report.stq);
        values.vpq.push(100 * report.groups.all.meanVpq);
        values.consistency.push(100 * report.consistency[8]);
        console.log(`[video] seed ${seed}, ${name}: ${report.idSwitches} changes of id`);
      }
    }
  } finally {
    await segmenter.dispose();
  }
  const notes = [
    `${VIDEOS} moving scenes of ${FRAMES} frames for each seed, all classes, ${icons.join(', ')}.`,
  ];
  return { seeds: SEEDS, rows, notes };
}
