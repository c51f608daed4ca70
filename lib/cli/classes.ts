/** Classes as people write them: on the command line, in a text file, or in a JSON file. */
import { readFile } from 'node:fs/promises';
import { LexisegError } from '../errors.js';
import type { ClassInput } from '../vocabulary.js';

const MAXIMUM_FILE_BYTES = 16 * 1024 * 1024;

/** `"cat|kitten, sofa, wooden floor"` → three classes, the first with two synonyms. */
export function parseClassList(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/**
 * Reads classes from a file: a JSON array, or one class per line with `#` for comments.
 *
 * @throws LexisegError `ERR_VOCABULARY` when the file cannot be read or is no list of classes.
 */
export async function readClassFile(path: string): Promise<ClassInput[]> {
  const text = await readText(path);
  if (!/^\s*[[{]/.test(text)) {
    return text
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
  }
  const value = parseJson(text, path);
  if (!Array.isArray(value)) throw refuse(path, 'its JSON is no array');
  value.forEach((item: unknown, i) => {
    const fits = typeof item === 'string' || (item !== null && typeof item === 'object');
    if (!fits) throw refuse(path, `item ${i} is neither a string nor an object with a name`);
  });
  return value as ClassInput[];
}

async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw refuse(path, error instanceof Error ? error.message : String(error), error);
  }
  if (bytes.length > MAXIMUM_FILE_BYTES) throw refuse(path, `it has ${bytes.length} bytes`);
  return bytes.toString('utf8').replace(/^\uFEFF/, '');
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refuse(path, `it is no JSON: ${error instanceof Error ? error.message : error}`, error);
  }
}

function refuse(path: string, reason: string, cause?: unknown): LexisegError {
  return new LexisegError('ERR_VOCABULARY', `The classes in ${path} were not read: ${reason}.`, {
    details: { path, reason },
    ...(cause === undefined ? {} : { cause }),
  });
}
