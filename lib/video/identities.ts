/** Who is who from one frame to the next, by what the decoder made of each query. */
import { callNative } from '../job.js';
import { native } from '../native.js';

/** How identities are kept. */
export interface Tracking {
  /**
   * `queries` matches the queries of successive frames by their embeddings (MinVIS, arXiv
   * 2208.02245, sec. 3.2). `none` takes a thing's query number for its identity.
   */
  readonly association: 'queries' | 'none';
  /** Frames for which a thing that is not seen keeps its identity. */
  readonly memory: number;
  /** A thing less like the one that it is matched with (cosine) is another thing. */
  readonly leastSimilarity: number;
}

/** Share of the old embedding when a thing is seen again: one blurred frame must not lose it. */
const INERTIA = 0.5;

/** What a query was, as long as anything is remembered of it. */
interface Slot {
  embedding: Float32Array;
  identity: number | undefined;
  lastSeen: number;
}

/** A thing of a frame: the query it is made of, and the number of its class. */
export interface SeenThing {
  readonly query: number;
  readonly classIndex: number;
}

/**
 * Matches every query of a frame with one of the frame before (Hungarian matching on cosines), so
 * that a thing's identity is the slot its query falls into. A slot whose thing is hidden keeps the
 * thing's embedding for a while, so that it is found again where it comes back.
 */
export class Identities {
  readonly #tracking: Tracking;
  #slots: Slot[] = [];
  #frame = -1;
  #last = 0;

  constructor(tracking: Tracking) {
    this.#tracking = tracking;
  }

  /** A number that nobody had yet, from 1 on. */
  fresh(): number {
    return ++this.#last;
  }

  /** Forgets every thing: after a cut nobody is the same. */
  cut(): void {
    this.#slots = [];
  }

  /**
   * Identities of the things of the next frame.
   *
   * @param queries float32 [Q, C] query embeddings, row-major
   * @param count Q
   */
  next(queries: Float32Array, count: number, things: readonly SeenThing[]): number[] {
    this.#frame++;
    const embeddings = unitRows(queries, count);
    const slotOf = this.#match(embeddings);
    const seen = new Set<Slot>();
    const identities = things.map(({ query }) => {
      const slot = this.#slots[slotOf[query] as number] as Slot;
      seen.add(slot);
      return this.#recognise(slot, embeddings[query] as Float32Array);
    });
    for (const [query, index] of slotOf.entries()) {
      const slot = this.#slots[index] as Slot;
      if (seen.has(slot) || this.#remembers(slot)) continue;
      slot.identity = undefined;
      slot.embedding = embeddings[query] as Float32Array;
    }
    return identities;
  }

  /** The slot of each query; every query has one. */
  #match(embeddings: readonly Float32Array[]): Int32Array {
    const width = embeddings[0]?.length ?? 0;
    while (this.#slots.length < embeddings.length) {
      // Like nothing, so that no thing leaves its own slot for it.
      const embedding = new Float32Array(width);
      this.#slots.push({ embedding, identity: undefined, lastSeen: this.#frame });
    }
    if (this.#tracking.association === 'none') {
      return Int32Array.from(embeddings, (_, query) => query);
    }
    const slots = this.#slots;
    const cost = new Float32Array(embeddings.length * slots.length);
    for (const [row, embedding] of embeddings.entries()) {
      for (const [column, slot] of slots.entries()) {
        cost[row * slots.length + column] = -cosine(embedding, slot.embedding);
      }
    }
    return callNative(() => native().assign(cost, embeddings.length, slots.length));
  }

  #recognise(slot: Slot, embedding: Float32Array): number {
    const { association, leastSimilarity } = this.#tracking;
    const same =
      association === 'none' ||
      (this.#remembers(slot) && cosine(slot.embedding, embedding) >= leastSimilarity);
    if (slot.identity === undefined || !same) {
      slot.identity = this.fresh();
      slot.embedding = embedding;
    } else {
      slot.embedding = blend(slot.embedding, embedding);
    }
    slot.lastSeen = this.#frame;
    return slot.identity;
  }

  #remembers(slot: Slot): boolean {
    return slot.identity !== undefined && this.#frame - slot.lastSeen <= this.#tracking.memory;
  }
}

function unitRows(rows: Float32Array, count: number): Float32Array[] {
  const width = rows.length / count;
  return Array.from({ length: count }, (_, i) => unit(rows.slice(i * width, (i + 1) * width)));
}

/** Scales to length 1 in place; zeros stay. */
function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(cosine(vector, vector));
  if (length > 0)
    for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] as number) / length;
  return vector;
}

/** The product of unit vectors. */
function cosine(one: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < one.length; i++) sum += (one[i] as number) * (other[i] as number);
  return sum;
}

const blend = (old: Float32Array, seen: Float32Array): Float32Array =>
  unit(old.map((value, i) => INERTIA * value + (1 - INERTIA) * (seen[i] as number)));
