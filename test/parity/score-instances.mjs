/**
 * Scores instances with our own average precision.
 *
 *   node score-instances.mjs TRUTH.json RESULTS.json
 *
 * Both in COCO's formats. Prints AP, AP50, AP75 and AP by area, and the areas of all true masks.
 */
import { readFileSync } from 'node:fs';
import { Fields } from '../../dist/data/annotation-file.js';
import { readMask } from '../../dist/data/coco-mask.js';
import { JsonPlaces } from '../../dist/data/json-place.js';
import { AveragePrecision } from '../../dist/evaluation/average-precision.js';
import { runArea, runIou } from '../../dist/evaluation/run-lengths.js';

const [truth, results] = process.argv
  .slice(2, 4)
  .map((path) => JSON.parse(readFileSync(path, 'utf8')));
const precision = new AveragePrecision(runIou);
const classes = truth.categories.map(({ id }) => id);
for (const { id: image, width, height } of truth.images) {
  const read = (one) => readMask(new Fields(new JsonPlaces('json'), '', one), width, height);
  for (const category of classes) {
    const here = (one) => one.image_id === image && one.category_id === category;
    const found = results.filter(here).map((one) => {
      const shape = read(one);
      return { shape, score: one.score, area: runArea(shape) };
    });
    const real = truth.annotations
      .filter(here)
      .map((one) => ({ shape: read(one), area: one.area, crowd: one.iscrowd === 1 }));
    precision.add(category, found, real);
  }
}
const sizes = new Map(truth.images.map((image) => [image.id, image]));
const areas = truth.annotations.map((one) => {
  const { width, height } = sizes.get(one.image_id);
  return runArea(readMask(new Fields(new JsonPlaces('json'), '', one), width, height));
});
console.log(JSON.stringify({ ...precision.mean(classes), areas }));
