/** Pictures of the worst images of an evaluation: what was found beside what is true. */
import sharp from 'sharp';
import type { SegmentationDataset, Truth } from '../data/segmentation-dataset.js';
import type { CallOptions, Templates, Thresholds } from '../options.js';
import { colourOfClass } from '../results/colours.js';
import type { Segmenter } from '../segmenter.js';
import type { ClassInput } from '../text/classes.js';
import { backgroundOf, questions } from './background.js';
import { classInputs } from './class-inputs.js';
import type { EvaluationOptions } from './evaluate.js';
import { type EvaluationReport, rankingTask } from './report.js';
import type { ReportPicture } from './report-html.js';

/** Side of a picture, pixels. */
const SIDE = 420;

export interface PictureOptions extends CallOptions {
  readonly vocabulary?: readonly ClassInput[] | undefined;
  readonly templates?: Templates | undefined;
  readonly thresholds?: Partial<Thresholds> | undefined;
  /** As the report was made with it. */
  readonly background?: EvaluationOptions['background'];
  /** Default 8. */
  readonly limit?: number | undefined;
}

/** Segments the worst images once more and draws them. */
export async function reportPictures(
  segmenter: Segmenter,
  dataset: SegmentationDataset,
  report: EvaluationReport,
  options: PictureOptions = {},
): Promise<ReportPicture[]> {
  const { templates, limit = 8, signal } = options;
  const task = rankingTask(report);
  const background = backgroundOf(segmenter, dataset, [task], options.background);
  const inputs = classInputs(dataset, options.vocabulary);
  const { words, thresholds } = questions(inputs, background, options.thresholds);
  const vocabulary = await segmenter.createVocabulary(words, {
    templates,
    duplicates: 'keep',
    signal,
  });
  const pictures: ReportPicture[] = [];
  try {
    for (const { image, path, index, score } of report.worst.slice(0, limit)) {
      const truth = await dataset.truth(index);
      using found = await segmenter.segment(path, vocabulary, { thresholds, task, signal });
      const overlay = await found.toOverlay({ legend: false, signal });
      pictures.push({
        image,
        score,
        found: await dataUrl(overlay),
        truth: await dataUrl(await truthPicture(truth, dataset)),
      });
    }
    return pictures;
  } finally {
    vocabulary.dispose();
  }
}

/** The true segments in the colours of their classes; void is black. */
function truthPicture(truth: Truth, dataset: SegmentationDataset): Promise<Buffer> {
  const colours = new Map(
    truth.segments.map(({ id, classIndex }) => {
      const name = dataset.classes[classIndex]?.name ?? '';
      return [id, colourOfClass({ name })];
    }),
  );
  const { width, height, ids } = truth;
  const rgb = Buffer.alloc(3 * ids.length);
  for (let at = 0; at < ids.length; at++) {
    const colour = colours.get(ids[at] as number);
    if (colour !== undefined) rgb.set(colour, 3 * at);
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

async function dataUrl(picture: Buffer): Promise<string> {
  const small = await sharp(picture)
    .resize(SIDE, SIDE, { fit: 'inside' })
    .jpeg({ quality: 78 })
    .toBuffer();
  return `data:image/jpeg;base64,${small.toString('base64')}`;
}
