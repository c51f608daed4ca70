/** How well things keep their ids: association quality of STQ (arXiv 2102.11859), and switches. */
import { type CountedFrame, Tubes } from './tubes.js';

/** Sums over videos. */
export class AssociationQuality {
  readonly #isThing: (classIndex: number) => boolean;
  #video = new Tubes();
  /** The predicted id that last covered each true thing. */
  #idOf = new Map<number, number>();
  #sum = 0;
  #tubes = 0;
  #switches = 0;

  constructor(isThing: (classIndex: number) => boolean) {
    this.#isThing = isThing;
  }

  add(frame: CountedFrame): void {
    this.#video.add(identitiesOnly(frame));
    this.#countSwitches(frame);
  }

  endVideo(): void {
    const tubes = this.#video;
    for (const [column, { classIndex, crowd }] of tubes.truth.entries()) {
      if (crowd || !this.#isThing(classIndex)) continue;
      this.#sum += this.#associationOf(tubes, column);
      this.#tubes++;
    }
    this.#video = new Tubes();
    this.#idOf = new Map();
  }

  /** Mean over true tubes of things, [0, 1]; NaN without any. */
  get quality(): number {
    return this.#sum / this.#tubes;
  }

  /** True tubes of things. */
  get tubes(): number {
    return this.#tubes;
  }

  /** How often a true thing was covered by another id than the last time. */
  get switches(): number {
    return this.#switches;
  }

  /** (1 / |truth|) times the sum over predicted tubes of TPA² / (TPA + FPA + FNA). */
  #associationOf(tubes: Tubes, column: number): number {
    const area = tubes.truthAreas[column] as number;
    let sum = 0;
    for (let row = 1; row <= tubes.predicted.length; row++) {
      const both = tubes.predicted[row - 1]?.thing ? tubes.shared(row, column) : 0;
      if (both === 0) continue;
      const own = (tubes.predictedAreas[row] as number) - inCrowds(tubes, row);
      sum += (both * both) / (own + area - both);
    }
    return sum / area;
  }

  /** In a frame an id covers a thing when they have an IoU above 0.5, whatever the class. */
  #countSwitches({ predicted, truth, overlap }: CountedFrame): void {
    for (const [column, segment] of truth.entries()) {
      if (segment.crowd || !this.#isThing(segment.classIndex)) continue;
      const area = overlap.truthAreas[column] as number;
      const row = predicted.findIndex(({ thing }, index) => {
        const both = overlap.shared(index + 1, column);
        const own = (overlap.predictedAreas[index + 1] as number) - overlap.inVoid(index + 1);
        return thing && both > 0.5 * (own + area - both);
      });
      if (row < 0) continue;
      const id = predicted[row]?.id as number;
      const before = this.#idOf.get(segment.id);
      if (before !== undefined && before !== id) this.#switches++;
      this.#idOf.set(segment.id, id);
    }
  }
}

/** An id is one tube whatever its class is called; stuff has no identity. */
function identitiesOnly(frame: CountedFrame): CountedFrame {
  const predicted = frame.predicted.map(({ id, thing }) =>
    thing ? { id, classIndex: 0, thing } : NOBODY,
  );
  return { ...frame, predicted };
}

const NOBODY = { id: 0, classIndex: -1, thing: false };

/** Pixels of a predicted tube in crowds. What lies in void counts against it, as in STEP's own code. */
function inCrowds(tubes: Tubes, row: number): number {
  return tubes.truth.reduce(
    (sum, { crowd }, column) => (crowd ? sum + tubes.shared(row, column) : sum),
    0,
  );
}
