/** How things are followed through a video. */

/** Ways to tell who is who. */
export const ASSOCIATIONS = ['regions', 'queries', 'none'] as const;

/** How identities are kept. */
export interface Tracking {
  /**
   * `regions` follows a thing to the region that overlaps where it was, and is like it; `queries` to
   * the query that is like its own, wherever that is; `none` takes its query's number.
   */
  readonly association: (typeof ASSOCIATIONS)[number];
  /** Frames for which a thing that is not seen keeps its identity, if there are not too many. */
  readonly memory: number;
  /** A thing less like the one that it is matched with (cosine of queries) is another thing. */
  readonly leastSimilarity: number;
}

/** The things of a frame, with what tells who they are. */
export interface FrameThings {
  /** float32 [Q, C] query embeddings, row-major. */
  readonly queries: Float32Array;
  readonly queryCount: number;
  readonly things: readonly SeenThing[];
  readonly width: number;
  readonly height: number;
  /** int32 [height × width]: which region each pixel belongs to. */
  readonly map: Int32Array;
}

export interface SeenThing {
  /** The query it is made of. */
  readonly query: number;
  /** Its number in the map. */
  readonly region: number;
  /** Pixels. */
  readonly area: number;
}

/** Gives things identities, frame by frame. */
export interface Association {
  /** Identities of the things of the next frame, in their order. */
  next(frame: FrameThings): number[];
  /** Forgets every thing: after a cut nobody is the same. */
  cut(): void;
}
