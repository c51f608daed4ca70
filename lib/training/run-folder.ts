/** The folder of a run: its log of events, its checkpoints, and what it was started with. */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { LexisegError } from '../errors.js';
import { takeLock } from '../lock.js';
import { makeFolder } from '../make-folder.js';
import type { TrainingEvent } from './event.js';

/** What the names of an identity's parts begin with where they are settings of the data. */
export const DATA_PREFIX = 'data.';

/** Of the weights that the watched figure was best with. */
export const BEST_CHECKPOINT = 'best.ckpt';

const CHECKPOINT = /^step-(\d{9})\.ckpt$/;

/** A file that is not yet whole, or the addon's copy of one; a backup of a user has another name. */
const PART =
  /^(run\.json|(step-\d{9}|best)\.ckpt|(evaluating|trained|best)\.pt)\.part(\.[A-Za-z0-9]{6})?$/;

/** What must agree between a run and its continuation, as plain data. */
export type RunIdentity = Readonly<Record<string, unknown>>;

/**
 * Keeps a second run out of a folder until the function that this gives is called.
 *
 * @throws LexisegError `ERR_CHECKPOINT` when a run is going on in it.
 */
export async function lockRun(folder: string): Promise<() => Promise<void>> {
  try {
    return await takeLock(join(folder, 'run.lock'), { waitMilliseconds: 0 });
  } catch (cause) {
    const { message, details } = cause as LexisegError;
    const { holder } = details;
    if (holder === undefined) {
      throw new LexisegError('ERR_OUTPUT', `Cannot use ${folder} for a run: ${message}`, {
        cause,
        details: { folder },
      });
    }
    throw new LexisegError(
      'ERR_CHECKPOINT',
      `${folder} is in use: process ${holder} trains there. Choose another folder, or wait for it`,
      { details: { folder, holder } },
    );
  }
}

export class RunFolder {
  readonly folder: string;
  readonly #log: string;
  readonly #writes: boolean;

  /**
   * Opens a folder for a run, or for going on with the run that is in it; what a kill left unfinished
   * there is removed.
   *
   * @param writes false for a process beside the one that keeps log and checkpoints
   * @throws LexisegError `ERR_CHECKPOINT` when another run is in it.
   */
  constructor(folder: string, identity: RunIdentity, writes = true) {
    this.folder = folder;
    this.#log = join(folder, 'events.jsonl');
    this.#writes = writes;
    try {
      makeFolder(folder);
      // Where no run has been, such a file is none of ours.
      if (this.#goesOn(identity) && writes) this.#removeParts();
    } catch (cause) {
      if (cause instanceof LexisegError) throw cause;
      const { message } = cause as Error;
      throw new LexisegError('ERR_OUTPUT', `Cannot use ${folder} for a run: ${message}`, {
        cause,
        details: { folder },
      });
    }
  }

  /** Whether there is a run to go on with; a fresh one is noted. */
  #goesOn(identity: RunIdentity): boolean {
    const path = join(this.folder, 'run.json');
    if (!existsSync(path)) {
      if (this.#writes) writeWhole(path, `${JSON.stringify(identity, null, 2)}\n`);
      return false;
    }
    const there = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    const ofData = (key: string): boolean => key.startsWith(DATA_PREFIX);
    // Runs of earlier releases noted no settings of the data.
    const notes = Object.keys(there).some(ofData);
    const differing = [...new Set([...Object.keys(there), ...Object.keys(identity)])].filter(
      (key) =>
        (notes || !ofData(key)) && JSON.stringify(there[key]) !== JSON.stringify(identity[key]),
    );
    if (differing.length === 0) return true;
    throw new LexisegError(
      'ERR_CHECKPOINT',
      `${this.folder} holds another run: ${differing.join(', ')} differ. ` +
        'Choose another folder, or delete this one',
      { details: { folder: this.folder, differing } },
    );
  }

  #removeParts(): void {
    for (const name of readdirSync(this.folder)) {
      if (PART.test(name)) rmSync(join(this.folder, name), { force: true });
    }
  }

  /** Where a checkpoint of a step goes. */
  checkpointPath(step: number): string {
    return join(this.folder, `step-${String(step).padStart(9, '0')}.ckpt`);
  }

  get bestPath(): string {
    return join(this.folder, BEST_CHECKPOINT);
  }

  /** Checkpoints, the latest first. */
  checkpoints(): { step: number; path: string }[] {
    if (!existsSync(this.folder)) return [];
    return readdirSync(this.folder)
      .flatMap((name) => {
        const step = CHECKPOINT.exec(name)?.[1];
        return step === undefined ? [] : [{ step: Number(step), path: join(this.folder, name) }];
      })
      .sort((a, b) => b.step - a.step);
  }

  /** Deletes all checkpoints but the latest `count`. */
  keepLatest(count: number): void {
    for (const { path } of this.checkpoints().slice(count)) rmSync(path, { force: true });
  }

  /** Adds an event to the log. */
  record(event: TrainingEvent): void {
    appendFileSync(this.#log, `${JSON.stringify(event)}\n`);
  }

  /**
   * Events of the run so far up to a step. What was logged after it is removed, for it will be
   * trained again; so is a last line that a killed process left unfinished.
   */
  rewind(step: number): TrainingEvent[] {
    if (!existsSync(this.#log)) return [];
    const text = readFileSync(this.#log, 'utf8');
    const events: TrainingEvent[] = [];
    let bytes = 0;
    for (const line of text.split('\n').slice(0, -1)) {
      const event = eventOf(line);
      if (event === undefined || event.step > step || (event.type === 'end' && event.step === step))
        break;
      events.push(event);
      bytes += Buffer.byteLength(line) + 1;
    }
    if (this.#writes) truncateSync(this.#log, bytes);
    return events;
  }
}

/** The event of a line, or undefined for one that a full disk or a hand has broken. */
function eventOf(line: string): TrainingEvent | undefined {
  try {
    return JSON.parse(line) as TrainingEvent;
  } catch {
    return undefined;
  }
}

/** Where a file of a run is written until it is whole. */
export const partOf = (path: string): string => `${path}.part`;

/** Gives the part of a file its name: from then on it is there whole, also after a power cut. */
export function keepPart(path: string): void {
  flush(partOf(path), 'r+');
  renameSync(partOf(path), path);
  flush(dirname(path), 'r');
}

function flush(path: string, mode: 'r' | 'r+'): void {
  const file = openSync(path, mode);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Writes a file that appears whole or not at all. */
function writeWhole(path: string, content: string): void {
  writeFileSync(partOf(path), content);
  keepPart(path);
}
