// Scores a bundle on a data set, and the gap that names alone make.
// Run: node evaluate.mjs BUNDLE DATA [PAGE]
import { writeFile } from 'node:fs/promises';
import { evaluate, openDataset, reportHtml, reportPictures, Segmenter } from 'lexiseg';

const [bundle, folder, page = 'report.html'] = process.argv.slice(2);

const segmenter = await Segmenter.load(bundle);
const dataset = await openDataset('coco-panoptic', folder);
const report = await evaluate(segmenter, dataset, { tasks: ['panoptic', 'semantic'] });
const plain = await evaluate(segmenter, dataset, {
  tasks: ['panoptic'],
  vocabulary: dataset.classes.map(({ name }) => name),
  vocabularyName: 'plain names',
});
for (const [name, { panoptic, semantic }] of Object.entries(report.groups)) {
  console.log(name, 'PQ', panoptic.pq, 'mIoU', semantic.miou);
}
console.log('PQ with names alone', plain.groups.all.panoptic.pq);
const worst = await reportPictures(segmenter, dataset, report, { limit: 4 });
await writeFile(page, reportHtml(report, worst));
await segmenter.dispose();
