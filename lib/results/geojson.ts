/** Segments as GeoJSON polygons in pixel coordinates. */
import { breathe, throwIfAborted } from '../job.js';
import { type CallOptions, checkOptions } from '../options.js';
import { type Polygon, traceContours } from './contours.js';
import type { Box, Segment, Segmentation } from './segmentation.js';

export interface FeatureCollection {
  readonly type: 'FeatureCollection';
  readonly features: readonly Feature[];
}

export interface Feature {
  readonly type: 'Feature';
  readonly id: number;
  readonly bbox: readonly [number, number, number, number];
  readonly geometry: {
    readonly type: 'MultiPolygon';
    readonly coordinates: [number, number][][][];
  };
  readonly properties: {
    readonly class: string;
    readonly classIndex: number;
    readonly thing: boolean;
    readonly score: number;
    readonly area: number;
    readonly bundle: string;
  };
}

export async function toGeoJson(
  segmentation: Segmentation,
  options: CallOptions,
): Promise<FeatureCollection> {
  checkOptions(options, ['signal'], 'options');
  const { signal } = options;
  throwIfAborted(signal);
  const features: Feature[] = [];
  const cutOut = await masksOf(segmentation, signal);
  for (const segment of segmentation.segments) {
    const { box } = segment;
    const polygons = await traceContours(cutOut(segment), box.width, box.height, signal);
    features.push({
      type: 'Feature',
      id: segment.id,
      bbox: [box.x, box.y, box.x + box.width, box.y + box.height],
      geometry: { type: 'MultiPolygon', coordinates: polygons.map((p) => shift(p, box.x, box.y)) },
      properties: {
        class: segment.className,
        classIndex: segment.classIndex,
        thing: segment.thing,
        score: segment.score,
        area: segment.area,
        bundle: segmentation.bundle.label,
      },
    });
    await breathe(signal);
  }
  return { type: 'FeatureCollection', features };
}

/** Gives the mask of a segment inside its box: uint8 [box.height × box.width]. */
async function masksOf(
  segmentation: Segmentation,
  signal: AbortSignal | undefined,
): Promise<(segment: Segment) => Uint8Array> {
  const { width } = segmentation;
  if (segmentation.task === 'instance') {
    return (segment) => cropWhere(segmentation.mask(segment), width, segment.box, 1);
  }
  const { data, offset } = await segmentation.regionMap(signal);
  return (segment) => cropWhere(data, width, segment.box, segment.id - offset);
}

function cropWhere(
  map: Int32Array | Uint8Array,
  width: number,
  box: Box,
  value: number,
): Uint8Array {
  const mask = new Uint8Array(box.width * box.height);
  for (let y = 0; y < box.height; y++) {
    const from = (box.y + y) * width + box.x;
    for (let x = 0; x < box.width; x++) {
      if (map[from + x] === value) mask[y * box.width + x] = 1;
    }
  }
  return mask;
}

function shift(polygon: Polygon, dx: number, dy: number): [number, number][][] {
  return [polygon.exterior, ...polygon.holes].map((ring) =>
    ring.map(([x, y]): [number, number] => [x + dx, y + dy]),
  );
}
