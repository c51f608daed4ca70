/** The folder that mining fills: crops, `pairs.tsv`, and how far it has come. */
import { type FileHandle, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LexisegError } from '../errors.js';
import { takeLock } from '../lock.js';
import { makeFolder } from '../make-folder.js';
import type { MinedPair, MiningReport } from './mine-pairs.js';

const HEADING = 'title\tfilepath\n';
/** Images between two records of the state; a stop costs at most as many again. */
const IMAGES_PER_RECORD = 20;
/** Crops in one folder. */
const IMAGES_PER_FOLDER = 1_000;

/** What pairs depend on beside the images, by name; others are not mixed with them. */
export type MiningSettings = Readonly<Record<string, string | number>>;

interface State {
  readonly settings: MiningSettings;
  images: number;
  /** Of all images; another number is another data set. */
  total: number;
  imagesWithoutNouns: number;
  pairs: number;
  /** Length of pairs.tsv, bytes; what is behind it was not recorded. */
  bytes: number;
  nouns: Record<string, number>;
}

export class PairFolder {
  readonly #folder: string;
  readonly #table: FileHandle;
  readonly #state: State;
  readonly #unlock: () => Promise<void>;
  #unrecorded = 0;

  private constructor(
    folder: string,
    table: FileHandle,
    state: State,
    unlock: () => Promise<void>,
  ) {
    this.#folder = folder;
    this.#table = table;
    this.#state = state;
    this.#unlock = unlock;
  }

  /**
   * @throws LexisegError `ERR_OUTPUT` when it cannot be written, another process writes it, or it
   *   holds pairs of another data set or of other settings.
   */
  static async open(folder: string, total: number, settings: MiningSettings): Promise<PairFolder> {
    try {
      makeFolder(join(folder, 'crops'));
    } catch (cause) {
      throw refusal(folder, cause);
    }
    const unlock = await lockOf(folder);
    try {
      const state = (await readState(folder)) ?? fresh(total, settings);
      refuseOthers(state, total, settings);
      const table = await open(join(folder, 'pairs.tsv'), state.bytes === 0 ? 'w' : 'r+');
      await table.truncate(state.bytes);
      const opened = new PairFolder(folder, table, state, unlock);
      if (state.bytes === 0) await opened.#append(HEADING);
      return opened;
    } catch (cause) {
      await unlock();
      throw refusal(folder, cause);
    }
  }

  /** Images that need not be looked at again. */
  get done(): number {
    return this.#state.images;
  }

  get pairs(): number {
    return this.#state.pairs;
  }

  get report(): MiningReport {
    const { images, imagesWithoutNouns, pairs, nouns } = this.#state;
    const sorted = Object.entries(nouns).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    return {
      images,
      imagesWithoutNouns,
      pairs,
      uniqueNouns: sorted.length,
      nouns: Object.fromEntries(sorted),
    };
  }

  async add(index: number, pairs: readonly MinedPair[]): Promise<void> {
    try {
      const part = String(Math.floor(index / IMAGES_PER_FOLDER)).padStart(4, '0');
      let rows = '';
      for (const [i, { title, png }] of pairs.entries()) {
        const path = `crops/${part}/${String(index).padStart(7, '0')}-${i}.png`;
        if (i === 0) makeFolder(join(this.#folder, 'crops', part));
        await writeFile(join(this.#folder, path), png);
        rows += `${title.replace(/[\t\r\n]+/g, ' ')}\t${path}\n`;
      }
      await this.#append(rows);
      const state = this.#state;
      state.images = index + 1;
      state.pairs += pairs.length;
      if (pairs.length === 0) state.imagesWithoutNouns++;
      for (const { noun } of pairs) state.nouns[noun] = (state.nouns[noun] ?? 0) + 1;
      this.#unrecorded++;
      if (this.#unrecorded >= IMAGES_PER_RECORD) await this.#record();
    } catch (cause) {
      throw refusal(this.#folder, cause);
    }
  }

  /** Records the state and lets go of the files. */
  async close(): Promise<void> {
    try {
      await this.#record();
    } catch (cause) {
      throw refusal(this.#folder, cause);
    } finally {
      await this.#table.close().finally(this.#unlock);
    }
  }

  async #append(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    if (bytes.length > 0) await this.#table.write(bytes, 0, bytes.length, this.#state.bytes);
    this.#state.bytes += bytes.length;
  }

  /** The table reaches the disk before the state that counts on it. */
  async #record(): Promise<void> {
    await this.#table.sync();
    const path = join(this.#folder, 'state.json');
    await writeFile(`${path}.part`, JSON.stringify(this.#state));
    await rename(`${path}.part`, path);
    this.#unrecorded = 0;
  }
}

/** One process at a time. */
async function lockOf(folder: string): Promise<() => Promise<void>> {
  try {
    return await takeLock(join(folder, 'mine.lock'), { waitMilliseconds: 0 });
  } catch (cause) {
    throw refusal(folder, cause);
  }
}

function refuseOthers(state: State, total: number, settings: MiningSettings): void {
  if (state.total !== total) {
    throw new Error(`it holds pairs of a data set of ${state.total} images, not ${total}`);
  }
  const differing = Object.keys(settings).filter((key) => state.settings[key] !== settings[key]);
  if (differing.length === 0) return;
  throw new Error(
    `it holds pairs of other settings (${differing.join(', ')}); choose another folder, or delete it`,
  );
}

function fresh(total: number, settings: MiningSettings): State {
  return {
    settings,
    images: 0,
    total,
    imagesWithoutNouns: 0,
    pairs: 0,
    bytes: 0,
    nouns: Object.create(null),
  };
}

async function readState(folder: string): Promise<State | undefined> {
  const text = await readFile(join(folder, 'state.json'), 'utf8').catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    },
  );
  if (text === undefined) return undefined;
  const state = JSON.parse(text) as State;
  const counts = [state.images, state.total, state.pairs, state.bytes, state.imagesWithoutNouns];
  if (!counts.every(Number.isSafeInteger) || typeof state.nouns !== 'object') {
    throw new Error('state.json is none of this');
  }
  if (state.settings === null || typeof state.settings !== 'object') {
    throw new Error('its state.json is of an earlier release; choose another folder, or delete it');
  }
  return { ...state, nouns: Object.assign(Object.create(null), state.nouns) };
}

function refusal(folder: string, cause: unknown): LexisegError {
  if (cause instanceof LexisegError && cause.code === 'ERR_OUTPUT') return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LexisegError('ERR_OUTPUT', `Cannot write pairs into ${folder}: ${reason}`, { cause });
}
