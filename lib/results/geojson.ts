/** Segments as GeoJSON polygons in pixel coordinates. */
import { breathe } from '../job.js';
import { type Polygon, traceContours } from './contours.js';
import type { Segment, Segmentation } from './segmentation.js';

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

export async function toGeoJson(segmentation: Segmentation): Promise<FeatureCollection> {
  const features: Feature[] = [];
  const insideOf = await membership(segmentation);
  for (const segment of segmentation.segments) {
    const { box } = segment;
    const inside = insideOf(segment);
    const polygons = traceContours(box.width, box.height, (x, y) => inside(x + box.x, y + box.y));
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
    await breathe();
  }
  return { type: 'FeatureCollection', features };
}

type Membership = (segment: Segment) => (x: number, y: number) => boolean;

async function membership(segmentation: Segmentation): Promise<Membership> {
  const { width } = segmentation;
  if (segmentation.task === 'instance') {
    return (segment) => {
      const mask = segmentation.mask(segment);
      return (x, y) => mask[y * width + x] === 1;
    };
  }
  const { data, offset } = await segmentation.regionMap();
  return ({ id }) =>
    (x, y) =>
      (data[y * width + x] as number) + offset === id;
}

function shift(polygon: Polygon, dx: number, dy: number): [number, number][][] {
  return [polygon.exterior, ...polygon.holes].map((ring) =>
    ring.map(([x, y]): [number, number] => [x + dx, y + dy]),
  );
}
