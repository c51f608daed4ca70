/** Reads JSON that someone else wrote, and says where it is wrong. */
import { readFile } from 'node:fs/promises';
import { LexisegError } from '../errors.js';
import { faultInJson } from './json-fault.js';
import { JsonPlaces } from './json-place.js';
import { TextLines } from './text-lines.js';

/** Throws `ERR_DATA` that names a file and a place in it. */
export function dataError(file: string, place: string, reason: string, cause?: unknown): never {
  throw new LexisegError('ERR_DATA', `${file}: ${place}${place === '' ? '' : ' '}${reason}`, {
    cause,
    details: { file, place },
  });
}

/** Takes what is wrong with one record of many, so that the next can be looked at. */
export type OnProblem = (problem: LexisegError) => void;

/** Reads one record. With `onProblem` one that is wrong is told, and undefined. */
export function readOne<Result>(
  read: () => Result,
  onProblem: OnProblem | undefined,
): Result | undefined {
  try {
    return read();
  } catch (problem) {
    if (onProblem === undefined || !(problem instanceof LexisegError)) throw problem;
    onProblem(problem);
    return undefined;
  }
}

/**
 * Reads records one by one. Without `onProblem` the first that is wrong throws; with it each is
 * told, and left out.
 */
export function readRecords<Item, Result>(
  items: readonly Item[],
  read: (item: Item, index: number) => Result,
  onProblem: OnProblem | undefined,
): Result[] {
  return items.flatMap((item, index) => {
    const found = readOne(() => [read(item, index)], onProblem);
    return found ?? [];
  });
}

/** What a record is referred to by. */
export type RecordId = number | string;

/** Records by their ids; undefined for one that is wrong, which was told. */
export type ById<Result, Id extends RecordId = RecordId> = ReadonlyMap<Id, Result | undefined>;

/** Records by what `idOf` says, each of which is there once. */
export function readById<Result, Id extends RecordId>(
  records: readonly Fields[],
  idOf: (record: Fields) => Id,
  read: (record: Fields) => Result,
  onProblem: OnProblem | undefined,
): ById<Result, Id> {
  const byId = new Map<Id, Result | undefined>();
  const place = (record: Fields): void => {
    const id = idOf(record);
    if (byId.has(id)) record.fail('id', 'is there twice', id);
    byId.set(id, undefined);
    byId.set(id, read(record));
  };
  readRecords(records, place, onProblem);
  return byId;
}

/** A file's JSON. A syntax error is told with its line and column. */
export async function readJsonFile(file: string): Promise<Fields> {
  return new Fields(new JsonPlaces(file), '', await readJson(file));
}

/** A file whose JSON is a list of objects. */
export async function readJsonList(file: string): Promise<Fields[]> {
  const list = await readJson(file);
  if (!Array.isArray(list)) return dataError(file, '', 'is no list');
  const places = new JsonPlaces(file);
  return list.map((item, index) => new Fields(places, `[${index}]`, item));
}

async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    return dataError(file, '', `cannot be read: ${(cause as Error).message}`, cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { line, column } = new TextLines(text).placeOf(faultInJson(text));
    const reason = `is not JSON: ${(cause as Error).message}`;
    return dataError(`${file}:${line}:${column}`, '', reason, cause);
  }
}

/** An object in a JSON file, whose fields are checked as they are taken. */
export class Fields {
  readonly place: string;
  readonly #places: JsonPlaces;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(places: JsonPlaces, place: string, value: unknown) {
    this.place = place;
    this.#places = places;
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      dataError(places.of(place), place, 'is no object');
    }
    this.#values = value as Record<string, unknown>;
  }

  has(key: string): boolean {
    return this.#values[key] !== undefined;
  }

  raw(key: string): unknown {
    return this.#values[key];
  }

  text(key: string): string {
    const value = this.#values[key];
    if (typeof value === 'string' && value !== '') return value;
    return this.fail(key, 'is no text', value);
  }

  /** A whole number of 0 or more. */
  count(key: string): number {
    const value = this.#values[key];
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    return this.fail(key, 'is no whole number of 0 or more', value);
  }

  /** A whole number of 0 or more, or a text. */
  id(key: string): RecordId {
    const value = this.#values[key];
    return typeof value === 'string' && value !== '' ? value : this.count(key);
  }

  number(key: string): number {
    const value = this.#values[key];
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return this.fail(key, 'is no number', value);
  }

  /** 0 or 1, false or true; `usual` when it is not there. */
  flag(key: string, usual: boolean): boolean {
    const value = this.#values[key] ?? usual;
    if (value === 0 || value === false) return false;
    if (value === 1 || value === true) return true;
    return this.fail(key, 'is neither 0 nor 1', value);
  }

  /** A list of objects. With `onProblem` an item that is none is told, and left out. */
  list(key: string, onProblem?: OnProblem): Fields[] {
    const value: unknown = this.#values[key];
    if (!Array.isArray(value)) return this.fail(key, 'is no list', value);
    const read = (item: unknown, i: number): Fields =>
      new Fields(this.#places, `${this.#at(key)}[${i}]`, item);
    return readRecords(value, read, onProblem);
  }

  /** What an id refers to; undefined for what is wrong itself, which was told. */
  referred<Result>(key: string, byId: ById<Result>, what: string): Result | undefined {
    const id = this.id(key);
    return byId.has(id) ? byId.get(id) : this.fail(key, `is no ${what}`, id);
  }

  /** A list of texts; empty when it is not there. */
  texts(key: string): string[] {
    const value = this.#values[key] ?? [];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    return this.fail(key, 'is no list of texts', value);
  }

  fail(key: string, reason: string, value?: unknown): never {
    const shown = value === undefined ? 'missing' : JSON.stringify(value)?.slice(0, 60);
    const place = this.#at(key);
    return dataError(this.#places.of(place), place, `${reason} (${shown})`);
  }

  #at(key: string): string {
    return this.place === '' ? key : `${this.place}.${key}`;
  }
}
