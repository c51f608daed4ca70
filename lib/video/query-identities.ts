/** Who is who from one frame to the next, by what the decoder made of each query. */

import { blend, product, unitRows } from '../inference/unit-vectors.js';
import { LIMITS } from '../options.js';
import { matchRows } from './matching.js';
import type { Association, FrameThings, Tracking } from './tracking.js';

/** What a query was, as long as anything is remembered of it. */
interface Slot {
  embedding: Float32Array;
  identity: number | undefined;
  /** The frame in which the thing was last seen. */
  lastSeen: number;
  /** The frame in which a query last fell into it. */
  lastMatched: number;
}

/**
 * Matches every query of a frame with one of the frame before (Hungarian matching on cosines; MinVIS,
 * arXiv 2208.02245, sec. 3.2), so that a thing's identity is the slot its query falls into. A slot
 * whose thing is hidden keeps the thing's embedding for a while, so that it is found again where it
 * comes back; another thing that falls into it does not take its place.
 */
export class QueryIdentities implements Association {
  readonly #tracking: Tracking;
  #slots: Slot[] = [];
  readonly #fresh: () => number;
  #frame = -1;

  /** `fresh` gives numbers that nobody had yet. */
  constructor(tracking: Tracking, fresh: () => number) {
    this.#tracking = tracking;
    this.#fresh = fresh;
  }

  /** Forgets every thing: after a cut nobody is the same. */
  cut(): void {
    this.#slots = [];
  }

  next({ queries, queryCount, things }: FrameThings): number[] {
    this.#frame++;
    const embeddings = unitRows(queries, queryCount);
    this.#forget();
    const slotOf = this.#match(embeddings);
    const seen = new Set<Slot>();
    const identities = things.map(({ query }) => {
      const slot = this.#slots[slotOf[query] as number] as Slot;
      seen.add(slot);
      return this.#recognise(slot, embeddings[query] as Float32Array);
    });
    for (const [query, index] of slotOf.entries()) {
      const slot = this.#slots[index] as Slot;
      slot.lastMatched = this.#frame;
      if (seen.has(slot) || this.#remembers(slot, this.#frame + 1)) continue;
      slot.identity = undefined;
      slot.embedding = embeddings[query] as Float32Array;
    }
    return identities;
  }

  /** Keeps slots that a query fell into, and of hidden things the latest. */
  #forget(): void {
    if (this.#tracking.association === 'none') return;
    const kept = this.#slots.filter(
      (slot) => slot.lastMatched === this.#frame - 1 || this.#remembers(slot, this.#frame),
    );
    if (kept.length > LIMITS.followed) kept.sort((a, b) => b.lastMatched - a.lastMatched);
    this.#slots = kept.slice(0, LIMITS.followed);
  }

  /** The slot of each query; every query has one. */
  #match(embeddings: readonly Float32Array[]): Int32Array {
    const width = embeddings[0]?.length ?? 0;
    while (this.#slots.length < embeddings.length) {
      // Like nothing, so that no thing leaves its own slot for it.
      const embedding = new Float32Array(width);
      const [lastSeen, lastMatched] = [this.#frame, this.#frame];
      this.#slots.push({ embedding, identity: undefined, lastSeen, lastMatched });
    }
    if (this.#tracking.association === 'none') {
      return Int32Array.from(embeddings, (_, query) => query);
    }
    const slots = this.#slots;
    const cost = new Float32Array(embeddings.length * slots.length);
    for (const [row, embedding] of embeddings.entries()) {
      for (const [column, slot] of slots.entries()) {
        cost[row * slots.length + column] = -product(embedding, slot.embedding);
      }
    }
    return matchRows(cost, embeddings.length, slots.length);
  }

  #recognise(slot: Slot, embedding: Float32Array): number {
    const { association, leastSimilarity } = this.#tracking;
    const same =
      association === 'none' ||
      (this.#remembers(slot, this.#frame) && product(slot.embedding, embedding) >= leastSimilarity);
    if (slot.identity === undefined || !same) {
      if (this.#remembers(slot, this.#frame)) this.#slots.push({ ...slot });
      slot.identity = this.#fresh();
      slot.embedding = embedding;
    } else {
      slot.embedding = blend(slot.embedding, embedding);
    }
    slot.lastSeen = this.#frame;
    return slot.identity;
  }

  /** Whether a thing that is seen in a frame may be the one that the slot was. */
  #remembers({ identity, lastSeen }: Slot, frame: number): boolean {
    return identity !== undefined && frame - lastSeen <= this.#tracking.memory + 1;
  }
}
