/** Vocabularies of published data sets, as files that come with the package, and users' own. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFolder } from '../binaries.js';
import { expected, LexisegError } from '../errors.js';
import { type ClassDefinition, parseClasses } from './classes.js';
import { wordsSha256 } from './words-hash.js';

const folder = join(packageFolder, 'models', 'vocabularies');
const LARGEST_FILE = 16 * 1024 * 1024;

/** Names for the classes of a data set, in its order. */
export interface VocabularyFile {
  readonly name: string;
  /** Who wrote the names. */
  readonly source: string;
  readonly licence: string;
  readonly classes: readonly ClassDefinition[];
  /** Of the words of the classes: the version that a report on them names. */
  readonly wordsSha256: string;
}

/** Words are the same whatever bundle is asked. */
const ALONE = {
  trainingClasses: [],
  bundleTemplates: [],
  templates: 'bundle',
  duplicates: 'keep',
} as const;

/** Names of the vocabularies that come with the package. */
export function shippedVocabularies(): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json') && !name.startsWith('templates'))
    .map((name) => name.replace(/\.json$/, ''))
    .sort();
}

/**
 * A vocabulary by the name of a shipped one, or from a JSON file of the same form.
 *
 * @param names `engineered` gives every class its synonyms, `plain` its name alone
 * @throws LexisegError `ERR_VOCABULARY` when there is none, or it is no vocabulary.
 */
export function readVocabulary(
  nameOrPath: string,
  names: 'engineered' | 'plain' = 'engineered',
): VocabularyFile {
  if (typeof nameOrPath !== 'string' || nameOrPath === '') {
    throw expected('a name or a path', 'vocabulary', nameOrPath);
  }
  const shipped = shippedVocabularies().includes(nameOrPath);
  const path = shipped ? join(folder, `${nameOrPath}.json`) : nameOrPath;
  const value = readJson(path, shipped);
  const { name, source, licence, classes: items } = value as Partial<Record<string, unknown>>;
  if (!Array.isArray(items) || items.length === 0) refuse(path, 'it has no "classes"');
  const classes = (items as unknown[]).map((item, index) => classOf(item, index, path, names));
  return {
    name: `${typeof name === 'string' ? name : path} (${names} names)`,
    source: typeof source === 'string' ? source : path,
    licence: typeof licence === 'string' ? licence : 'not stated',
    classes,
    wordsSha256: wordsSha256(parseClasses(classes, ALONE)),
  };
}

function classOf(
  item: unknown,
  index: number,
  path: string,
  names: 'engineered' | 'plain',
): ClassDefinition {
  const fields = (item ?? {}) as Partial<Record<string, unknown>>;
  const { synonyms = [], thing } = fields;
  // Where the name that people know is none of the engineered ones, it stands apart.
  const apart = names === 'plain' ? fields.plain : undefined;
  const name = apart ?? fields.name;
  if (typeof name !== 'string' || name === '') refuse(path, `class ${index} has no name`);
  if (!Array.isArray(synonyms) || !synonyms.every((one) => typeof one === 'string')) {
    refuse(path, `the synonyms of class ${index} are no list of texts`);
  }
  // What was trained by words that are left out was trained all the same.
  const leftOut = [...(apart === undefined ? [] : [fields.name as string]), ...synonyms];
  return {
    name,
    ...(names === 'engineered' && synonyms.length > 0 ? { synonyms } : {}),
    ...(names === 'plain' && leftOut.length > 0 ? { knownAs: leftOut } : {}),
    ...(typeof thing === 'boolean' ? { thing } : {}),
  };
}

function readJson(path: string, shipped: boolean): object {
  try {
    const text = readFileSync(path, 'utf8');
    if (text.length > LARGEST_FILE) throw new Error(`it has ${text.length} characters`);
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value !== 'object') throw new Error('its JSON is no object');
    return value;
  } catch (cause) {
    const hint = shipped ? '' : `; shipped: ${shippedVocabularies().join(', ')}`;
    throw new LexisegError(
      'ERR_VOCABULARY',
      `Cannot read the vocabulary ${path}: ${(cause as Error).message}${hint}`,
      { cause, details: { path } },
    );
  }
}

function refuse(path: string, reason: string): never {
  throw new LexisegError('ERR_VOCABULARY', `${path} is no vocabulary: ${reason}`, {
    details: { path },
  });
}
