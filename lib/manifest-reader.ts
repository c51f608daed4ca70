/** Readers of single JSON values; each names the field that does not fit. */
import { LexisegError } from './errors.js';

export type Reader<T> = (value: unknown, path: string) => T;

const TEXT_LIMIT = 10_000;

/** Throws `ERR_BUNDLE_MANIFEST` for the field at `path`. */
export function fail(path: string, what: string, value: unknown): never {
  throw new LexisegError(
    'ERR_BUNDLE_MANIFEST',
    `Expected ${what} for ${path} but received ${shortJson(value)}`,
    { details: { field: path } },
  );
}

export function record(value: unknown, path: string): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    fail(path, 'an object', value);
  }
  return value as Record<string, unknown>;
}

export function text(value: unknown, path: string): string {
  if (typeof value !== 'string' || value.length > TEXT_LIMIT) {
    fail(path, `a string of at most ${TEXT_LIMIT} characters`, value);
  }
  return value as string;
}

export function booleanOf(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') fail(path, 'a boolean', value);
  return value as boolean;
}

export function finite(value: unknown, path: string, least: number, most: number): number {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    fail(path, `a number from ${least} to ${most}`, value);
  }
  return value as number;
}

export function integer(value: unknown, path: string, least: number, most: number): number {
  if (!Number.isInteger(value)) fail(path, 'an integer', value);
  return finite(value, path, least, most);
}

export function list<T>(
  value: unknown,
  path: string,
  limit: number,
  item: Reader<T>,
): readonly T[] {
  if (!Array.isArray(value) || value.length > limit) {
    fail(path, `a list of at most ${limit} items`, value);
  }
  return (value as unknown[]).map((entry, index) => item(entry, `${path}[${index}]`));
}

export function textList(value: unknown, path: string, limit: number): readonly string[] {
  return list(value, path, limit, text);
}

/** Refuses keys that the schema does not have: a misspelt optional field must not be ignored. */
export function checkKeys(
  value: Record<string, unknown>,
  known: readonly string[],
  path: string,
): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) fail(`${path}.${key}`, 'no such field', value[key]);
  }
}

function shortJson(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}
