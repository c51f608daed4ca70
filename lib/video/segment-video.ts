/** Frames in, panoptic maps with the same ids from frame to frame out. */
import { checkGiven } from '../bundle-contract.js';
import { LexisegError } from '../errors.js';
import { decodeImage } from '../image.js';
import { float32OnHost } from '../inference/host-numbers.js';
import type { Pipeline } from '../inference/pipeline.js';
import { parseSegmentOptions, type SegmentPlan } from '../inference/segment-options.js';
import { throwIfAborted } from '../job.js';
import type { Size, Templates, Thresholds } from '../options.js';
import { checkOptions, DEFAULTS, integerIn, numberIn, oneOf } from '../options.js';
import { PanopticSegmentation } from '../results/panoptic.js';
import type { Segment } from '../results/segmentation.js';
import { Segmenter } from '../segmenter.js';
import { Tensor } from '../tensor.js';
import { type ClassInput, Vocabulary } from '../vocabulary.js';
import { type Frames, openFrames } from './frames.js';
import { QueryIdentities } from './query-identities.js';
import { RegionIdentities } from './region-identities.js';
import { colourChange, colourHistogram } from './scene-cut.js';
import { ASSOCIATIONS, type Association, type FrameThings, type Tracking } from './tracking.js';

export interface VideoOptions {
  readonly thresholds?: Partial<Thresholds> | undefined;
  /** Size of each result; the frame's own size when left out. */
  readonly outputSize?: Size | undefined;
  /** Used when `vocabulary` is given as plain classes. */
  readonly templates?: Templates | undefined;
  readonly tracking?: { readonly [Key in keyof Tracking]?: Tracking[Key] | undefined } | undefined;
  /**
   * A frame begins another scene when this share of its colours or more is not in the one before,
   * [0, 1]; with 0 every frame does, with 1 none.
   */
  readonly sceneCut?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One frame with what was found in it. */
export interface VideoFrame {
  /** From 0 on. */
  readonly index: number;
  /** Whether another scene begins here: ids of things before it do not come again. */
  readonly cut: boolean;
  /** A thing keeps its segment id from frame to frame, and so does each class of stuff. */
  readonly segmentation: PanopticSegmentation;
}

const KEYS = ['thresholds', 'outputSize', 'templates', 'tracking', 'sceneCut', 'signal'];

/**
 * Segments a video frame by frame. The next frame is worked on while the caller looks at this one,
 * and no further: a caller that is slow makes the source wait. Whoever takes a frame disposes its
 * segmentation.
 *
 * @throws LexisegError `ERR_VIDEO` for frames that cannot be read, `ERR_UNSUPPORTED` for a bundle
 *   that gives no panoptic maps or no query embeddings, or more of them than can be matched.
 */
export async function* segmentVideo(
  segmenter: Segmenter,
  frames: Frames,
  vocabulary: Vocabulary | readonly ClassInput[],
  options: VideoOptions = {},
): AsyncGenerator<VideoFrame> {
  const { tracking, sceneCut } = parseVideoOptions(options);
  const { signal, templates } = options;
  throwIfAborted(signal);
  checkBundle(segmenter);
  const plan = planOf(segmenter, options);
  const given = vocabulary instanceof Vocabulary;
  const used = given
    ? vocabulary
    : await segmenter.createVocabulary(vocabulary, { signal, templates });
  const leaving = new AbortController();
  const source = openFrames(
    frames,
    signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal,
  );
  const look = (): Promise<Look | undefined> => nextLook(segmenter, source, used, plan);
  let last = 0;
  const fresh = (): number => ++last;
  const Kind = tracking.association === 'regions' ? RegionIdentities : QueryIdentities;
  const identities: Association = new Kind(tracking, fresh);
  const stuff = new Map<number, number>();
  let before: Float32Array | undefined;
  let coming: Promise<Look | undefined> | undefined = look();
  try {
    for (let index = 0; ; index++) {
      throwIfAborted(signal);
      const now: Look | undefined = await coming;
      coming = undefined;
      if (now === undefined) return;
      coming = look();
      coming.catch(() => {});
      const cut = before !== undefined && isCut(before, now.colours, sceneCut);
      before = now.colours;
      if (cut) identities.cut();
      const things = identities.next(thingsOf(now));
      name(now.segmentation, ({ thing, classIndex }) => {
        if (thing) return things.shift() as number;
        const id = stuff.get(classIndex) ?? fresh();
        stuff.set(classIndex, id);
        return id;
      });
      yield { index, cut, segmentation: now.segmentation };
    }
  } finally {
    // Whoever leaves does not wait for a frame that the source still owes.
    leaving.abort();
    const left = await coming?.catch(() => undefined);
    left?.segmentation.dispose();
    await source.return(undefined);
    if (!given) used.dispose();
  }
}

/** What the network says of a frame, before its things have names. */
interface Look {
  readonly segmentation: PanopticSegmentation;
  /** float32 [Q, C]. */
  readonly queries: Float32Array;
  readonly queryCount: number;
  readonly colours: Float32Array;
}

async function nextLook(
  segmenter: Segmenter,
  source: AsyncGenerator<Parameters<typeof decodeImage>[0]>,
  vocabulary: Vocabulary,
  plan: SegmentPlan,
): Promise<Look | undefined> {
  const { done, value } = await source.next();
  if (done) return undefined;
  // One call: were it one for each stage, a dispose between them would lose a frame half done.
  return Segmenter.during(segmenter, (pipeline) => lookAt(pipeline, value, vocabulary, plan));
}

async function lookAt(
  pipeline: Pipeline,
  frame: Parameters<typeof decodeImage>[0],
  vocabulary: Vocabulary,
  plan: SegmentPlan,
): Promise<Look> {
  const { signal } = plan;
  const image = await decodeImage(frame, { signal, copy: 'auto' });
  const { width, height } = image;
  const raw = { data: image.rgb, width, height, channels: 3 } as const;
  // These pixels are ours and nobody writes them.
  using proposals = await pipeline.propose(raw, { signal, copy: 'never' });
  const found = await pipeline.segment<PanopticSegmentation>([proposals], vocabulary, plan);
  const [segmentation] = found as [PanopticSegmentation];
  try {
    const queries = Tensor.unwrap(proposals.tensor('query_embeddings'), 'query_embeddings');
    checkGiven('query_embeddings', [queries], [[1, proposals.queryCount, 'C']]);
    return {
      segmentation,
      queries: await float32OnHost(queries, signal),
      queryCount: proposals.queryCount,
      colours: colourHistogram(image),
    };
  } catch (error) {
    segmentation.dispose();
    throw error;
  }
}

function planOf(
  { manifest, info }: Segmenter,
  { signal, thresholds, outputSize }: VideoOptions,
): SegmentPlan {
  const options = { task: 'panoptic', signal, thresholds, outputSize } as const;
  return parseSegmentOptions(options, manifest, info.device);
}

/** Frames without a colour in common change by 1, and 1 is to be no cut. */
const isCut = (before: Float32Array, now: Float32Array, sceneCut: number): boolean =>
  sceneCut < 1 && colourChange(before, now) >= sceneCut;

function thingsOf({ segmentation, queries, queryCount }: Look): FrameThings {
  const queryOf = PanopticSegmentation.queriesOf(segmentation);
  const { width, height, segmentMap: map, segments } = segmentation;
  const things = segments.flatMap(({ id, thing, area }, row) =>
    thing ? [{ query: queryOf[row] as number, region: id, area }] : [],
  );
  return { queries, queryCount, things, width, height, map };
}

/** Gives every segment an id, in their order. */
function name(segmentation: PanopticSegmentation, idOf: (segment: Segment) => number): void {
  PanopticSegmentation.renumber(segmentation, segmentation.segments.map(idOf));
}

function checkBundle({ manifest }: Segmenter): void {
  const lacks = [
    ...(manifest.tasks.includes('panoptic') ? [] : ['panoptic maps']),
    ...(manifest.proposals.includes('query_embeddings') ? [] : ['query embeddings']),
  ];
  if (lacks.length === 0) return;
  throw new LexisegError('ERR_UNSUPPORTED', `The bundle gives no ${lacks.join(' and no ')}`, {
    details: { tasks: manifest.tasks, proposals: manifest.proposals },
  });
}

function parseVideoOptions(options: VideoOptions): { tracking: Tracking; sceneCut: number } {
  checkOptions(options, KEYS, 'options');
  const { video } = DEFAULTS;
  const { tracking = {} } = options;
  checkOptions(tracking, ['association', 'memory', 'leastSimilarity'], 'options.tracking');
  const association = tracking.association ?? video.association;
  const memory = tracking.memory ?? video.memory;
  const least = tracking.leastSimilarity ?? video.leastSimilarity;
  return {
    tracking: {
      association: oneOf(association, ASSOCIATIONS, 'options.tracking.association'),
      memory: integerIn(memory, 0, 1e6, 'options.tracking.memory'),
      leastSimilarity: numberIn(least, -1, 1, 'options.tracking.leastSimilarity'),
    },
    sceneCut: numberIn(options.sceneCut ?? video.sceneCut, 0, 1, 'options.sceneCut'),
  };
}
