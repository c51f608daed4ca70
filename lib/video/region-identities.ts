/** Who is who from one frame to the next, by where things were and what they are like. */

import { blend, product, unitRows } from '../inference/unit-vectors.js';
import { LIMITS } from '../options.js';
import { matchRows } from './matching.js';
import type { Association, FrameThings, SeenThing, Tracking } from './tracking.js';

/** What is remembered of a thing. */
interface Track {
  readonly identity: number;
  embedding: Float32Array;
  lastSeen: number;
  /** Its region in the frame where it was last seen. */
  region: number;
  area: number;
}

/** A frame's map, to compare the next one with. */
interface Places {
  readonly width: number;
  readonly height: number;
  readonly map: Int32Array;
}

/** Regions that share less than this are not one thing by their place alone. */
const LEAST_OVERLAP = 0.3;
/** Costs as much as a thing that is new; what is the same costs less, whatever it looks like. */
const NOT_THE_SAME = 0;
const LEAST_GAIN = -1e-6;

/**
 * Hungarian matching of the things of a frame with the things remembered, by the sum of the IoU with
 * where each was a frame ago and the cosine of their query embeddings. Two queries may take turns at
 * one thing; its place says that it is the same.
 */
export class RegionIdentities implements Association {
  readonly #tracking: Tracking;
  readonly #fresh: () => number;
  #tracks: Track[] = [];
  #before: Places | undefined;
  #frame = -1;

  /** `fresh` gives numbers that nobody had yet. */
  constructor(tracking: Tracking, fresh: () => number) {
    this.#tracking = tracking;
    this.#fresh = fresh;
  }

  cut(): void {
    this.#tracks = [];
    this.#before = undefined;
  }

  next(frame: FrameThings): number[] {
    this.#frame++;
    this.#forget();
    const embeddings = unitRows(frame.queries, frame.queryCount);
    const overlaps = this.#overlaps(frame);
    const trackOf = this.#match(frame.things, embeddings, overlaps);
    const identities = frame.things.map(({ query, region, area }, row) => {
      const embedding = embeddings[query] as Float32Array;
      const track = this.#tracks[trackOf[row] as number];
      if (track === undefined) return this.#begin(embedding, region, area);
      Object.assign(track, { lastSeen: this.#frame, region, area });
      track.embedding = blend(track.embedding, embedding);
      return track.identity;
    });
    const { width, height } = frame;
    // The map is renumbered by whoever called.
    this.#before = { width, height, map: frame.map.slice() };
    return identities;
  }

  /** Keeps what was seen lately enough, and of that the latest. */
  #forget(): void {
    const { memory } = this.#tracking;
    const known = this.#tracks.filter(({ lastSeen }) => this.#frame - lastSeen <= memory + 1);
    if (known.length > LIMITS.followed) known.sort((one, other) => other.lastSeen - one.lastSeen);
    this.#tracks = known.slice(0, LIMITS.followed);
  }

  #begin(embedding: Float32Array, region: number, area: number): number {
    const identity = this.#fresh();
    this.#tracks.push({ identity, embedding, lastSeen: this.#frame, region, area });
    return identity;
  }

  /** The track of each thing, -1 where it is a new one. */
  #match(
    things: readonly SeenThing[],
    embeddings: readonly Float32Array[],
    overlaps: (thing: SeenThing, track: Track) => number,
  ): Int32Array {
    const tracks = this.#tracks;
    if (things.length === 0 || tracks.length === 0) return new Int32Array(things.length).fill(-1);
    const { leastSimilarity } = this.#tracking;
    const cost = new Float32Array(things.length * tracks.length);
    for (const [row, thing] of things.entries()) {
      for (const [column, track] of tracks.entries()) {
        const iou = overlaps(thing, track);
        const similarity = product(embeddings[thing.query] as Float32Array, track.embedding);
        // What is not the same must not weigh: a pair for the sake of its neighbour is none.
        const same = iou >= LEAST_OVERLAP || similarity >= leastSimilarity;
        cost[row * tracks.length + column] = same
          ? Math.min(-(iou + similarity), LEAST_GAIN)
          : NOT_THE_SAME;
      }
    }
    const trackOf = matchRows(cost, things.length, tracks.length);
    return trackOf.map((column, row) =>
      column < 0 || cost[row * tracks.length + column] === NOT_THE_SAME ? -1 : column,
    );
  }

  /** IoU of a thing with a track's last region; 0 for tracks that were not in the frame before. */
  #overlaps(frame: FrameThings): (thing: SeenThing, track: Track) => number {
    const before = this.#before;
    if (before?.width !== frame.width || before.height !== frame.height) return () => 0;
    const shared = new Map<string, number>();
    const { map } = frame;
    for (let start = 0; start < map.length; ) {
      const [now, then] = [map[start], before.map[start]];
      let end = start + 1;
      while (end < map.length && map[end] === now && before.map[end] === then) end++;
      const key = `${now}/${then}`;
      shared.set(key, (shared.get(key) ?? 0) + end - start);
      start = end;
    }
    return (thing, track) => {
      if (track.lastSeen !== this.#frame - 1) return 0;
      const both = shared.get(`${thing.region}/${track.region}`) ?? 0;
      return both / (thing.area + track.area - both);
    };
  }
}
