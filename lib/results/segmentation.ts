/** What every segmentation result has: segments, and the ways to write them down. */
import type { BundleLabel } from '../bundle.js';
import { LexisegError } from '../errors.js';
import type { DecodedImage } from '../image.js';
import type { CallOptions, Task } from '../options.js';
import type { VocabularyClass } from '../text/classes.js';
import {
  type CocoOptions,
  type CocoResult,
  type PanopticJson,
  toCocoResults,
  toPanopticJson,
} from './coco.js';
import { type FeatureCollection, toGeoJson } from './geojson.js';
import { toLabelPng } from './label-png.js';
import { type OverlayOptions, toOverlay } from './overlay.js';

/** Pixels of the result; origin top-left. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** One region of the picture. */
export interface Segment {
  /** From 1 on, unique in its segmentation; of a video: the same in every frame. */
  readonly id: number;
  readonly classIndex: number;
  readonly className: string;
  readonly thing: boolean;
  /** Class probability (semantic: mean class score of its pixels). */
  readonly score: number;
  /** Pixels. */
  readonly area: number;
  readonly box: Box;
}

/** Which segment owns each pixel: id = data[y · width + x] + offset; 0 is nobody. */
export interface RegionMap {
  readonly data: Int32Array;
  readonly offset: number;
}

export interface SegmentationParts {
  readonly width: number;
  readonly height: number;
  readonly classes: readonly VocabularyClass[];
  readonly bundle: BundleLabel;
  readonly segments: readonly Segment[];
  /** Pixels that were segmented, for overlays. */
  readonly image: DecodedImage;
}

/** `JSON.stringify(segmentation)`: everything but the masks. */
export interface SegmentationJson {
  readonly task: Task;
  readonly width: number;
  readonly height: number;
  readonly bundle: BundleLabel;
  readonly classes: readonly VocabularyClass[];
  readonly segments: readonly Segment[];
}

/** A result; `task` tells which kind. */
export abstract class Segmentation implements Disposable {
  abstract readonly task: Task;
  /** Size of the result, pixels. */
  readonly width: number;
  readonly height: number;
  readonly classes: readonly VocabularyClass[];
  /** The bundle that made it; `bundle.label` says so when its weights are random. */
  readonly bundle: BundleLabel;
  #segments: readonly Segment[];
  readonly #image: DecodedImage;

  /** @internal */
  protected constructor(parts: SegmentationParts) {
    this.width = parts.width;
    this.height = parts.height;
    this.classes = parts.classes;
    this.bundle = parts.bundle;
    this.#segments = Object.freeze(parts.segments);
    this.#image = parts.image;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  abstract get disposed(): boolean;

  /** uint8 [height × width], row-major: 1 inside the segment, 0 outside. */
  abstract mask(segment: Segment | number): Uint8Array;

  /** COCO run lengths of a segment's mask: down the columns, outside first. */
  abstract runLengths(segment: Segment | number): Uint32Array;

  /** @internal Owner of each pixel; instances lie on each other by score. */
  abstract regionMap(signal?: AbortSignal): Promise<RegionMap>;

  /** Frees the native memory behind the typed arrays and detaches them; idempotent. */
  abstract dispose(): void;

  [Symbol.dispose](): void {
    this.dispose();
  }

  toJSON(): SegmentationJson {
    const { task, width, height, bundle, classes, segments } = this;
    return { task, width, height, bundle, classes, segments };
  }

  /**
   * COCO panoptic: an annotation, and a PNG whose colours are segment ids
   * (R + 256 · G + 65536 · B). Not for instances, which overlap.
   */
  toPanopticJson(options: CocoOptions = {}): Promise<PanopticJson> {
    return this.#whileAlive(() => toPanopticJson(this, options));
  }

  /** COCO results: one entry per segment, its mask as a run-length string. */
  toCocoResults(options: CocoOptions = {}): Promise<CocoResult[]> {
    return this.#whileAlive(() => toCocoResults(this, options));
  }

  /**
   * A grey PNG of class indices, 8 bits up to 255 classes, else 16; unlabelled pixels are 255
   * or 65535.
   */
  toLabelPng(options: CallOptions = {}): Promise<Buffer> {
    return this.#whileAlive(() => toLabelPng(this, options));
  }

  /**
   * Polygons along pixel edges, in pixels (x right, y down), with holes. Exterior rings turn as
   * RFC 7946 asks when coordinates are read as (x, y).
   */
  toGeoJson(options: CallOptions = {}): Promise<FeatureCollection> {
    return this.#whileAlive(() => toGeoJson(this, options));
  }

  /** A PNG: the image under class colours, outlines, names, and a legend. */
  toOverlay(options: OverlayOptions = {}): Promise<Buffer> {
    return this.#whileAlive(() => toOverlay(this, this.#image, options));
  }

  /** What `write` makes, if nobody disposes the result before it is done. */
  async #whileAlive<Written>(write: () => Promise<Written>): Promise<Written> {
    this.checkAlive();
    try {
      return await write();
    } finally {
      // A detached map reads as nothing: what was written from it looks right and is not.
      this.checkAlive();
    }
  }

  /** @internal The segment of an id, or of itself. */
  protected find(segment: Segment | number): Segment {
    const id = typeof segment === 'number' ? segment : segment.id;
    const found = this.segments.find((candidate) => candidate.id === id);
    if (found === undefined) {
      throw new RangeError(`Expected the id of a segment but received ${String(id)}`);
    }
    return found;
  }

  /** @internal Segment i is from now on called ids[i]. */
  protected replaceIds(ids: readonly number[]): void {
    const renamed = this.#segments.map((one, row) =>
      Object.freeze({ ...one, id: ids[row] as number }),
    );
    this.#segments = Object.freeze(renamed);
  }

  /** @internal */
  protected checkAlive(): void {
    if (this.disposed) {
      throw new LexisegError('ERR_DISPOSED', 'The segmentation was used after dispose');
    }
  }
}

/** uint8 mask of the pixels that hold `value`. A plain loop: `from` with a callback is 50 × slower. */
export function maskWhere(map: Int32Array, value: number): Uint8Array {
  const mask = new Uint8Array(map.length);
  for (let pixel = 0; pixel < map.length; pixel++) {
    if (map[pixel] === value) mask[pixel] = 1;
  }
  return mask;
}
