/** Reads the classes a caller wrote: names, synonyms, thing or stuff, colour, templates. */
import { expected, LexisegError } from '../errors.js';
import type { TrainingClass } from '../manifest.js';
import { checkOptions, LIMITS, type Templates } from '../options.js';

/** "cat|kitten" (name, then synonyms), or an object. Only "|" separates synonyms. */
export type ClassInput = string | ClassDefinition;

export interface ClassDefinition {
  /** Shown in results; also the first synonym. */
  readonly name: string;
  /** Further words for the same class. */
  readonly synonyms?: readonly string[] | undefined;
  /** Words that nobody is asked for, but that a bundle may have been trained by. */
  readonly knownAs?: readonly string[] | undefined;
  /** Countable (each object its own segment) or stuff; by default as the bundle was trained. */
  readonly thing?: boolean | undefined;
  /** `#rrggbb`; by default a colour made from the name. */
  readonly color?: string | undefined;
  /** Templates of this class instead of the vocabulary's. */
  readonly templates?: Templates | undefined;
}

/** A class as every result refers to it. */
export interface VocabularyClass {
  readonly index: number;
  readonly name: string;
  /** The name first, each once. */
  readonly synonyms: readonly string[];
  readonly thing: boolean;
  /** Whether a word of it is one of the training vocabulary; decides the ensemble's exponent. */
  readonly seen: boolean;
  readonly color?: string | undefined;
}

/** A class with the templates that its synonyms are put into. */
export interface ParsedClass extends VocabularyClass {
  readonly templates: readonly string[];
}

export interface ParseContext {
  readonly trainingClasses: readonly TrainingClass[];
  readonly bundleTemplates: readonly string[];
  readonly templates: Templates;
  readonly duplicates: 'refuse' | 'keep';
}

const DEFINITION_KEYS = ['name', 'synonyms', 'knownAs', 'thing', 'color', 'templates'];
const COLOR = /^#[0-9a-f]{6}$/i;

/**
 * The classes of a vocabulary, in order.
 *
 * @throws LexisegError `ERR_VOCABULARY` that names the class which cannot be used.
 */
export function parseClasses(classes: readonly ClassInput[], context: ParseContext): ParsedClass[] {
  if (!Array.isArray(classes)) throw expected('an array of classes', 'classes', classes);
  if (classes.length === 0) refuse('A vocabulary needs at least one class', {});
  if (classes.length > LIMITS.classes) {
    refuse(`${classes.length} classes are more than ${LIMITS.classes}`, { limit: LIMITS.classes });
  }
  const training = indexTraining(context.trainingClasses);
  const shared = resolveTemplates(context.templates, context.bundleTemplates);
  const seenNames = new Map<string, number>();
  let synonymTotal = 0;
  return classes.map((input, index) => {
    const parsed = parseClass(input, index);
    synonymTotal += parsed.synonyms.length;
    if (synonymTotal > LIMITS.synonyms) {
      refuse(`More than ${LIMITS.synonyms} synonyms`, { limit: LIMITS.synonyms });
    }
    if (context.duplicates === 'refuse') checkDuplicate(seenNames, parsed.name, index);
    const known = [...parsed.synonyms, ...parsed.knownAs];
    const trained = known.map((name) => training.get(name)).find(Boolean);
    return Object.freeze({
      index,
      name: parsed.name,
      synonyms: Object.freeze(parsed.synonyms),
      thing: parsed.thing ?? trained?.thing ?? true,
      seen: trained !== undefined,
      ...(parsed.color === undefined ? {} : { color: parsed.color }),
      templates:
        parsed.templates === undefined
          ? shared
          : resolveTemplates(parsed.templates, context.bundleTemplates),
    });
  });
}

/** The strings behind a set's name, or the caller's own after checking them. */
export function resolveTemplates(
  templates: Templates,
  bundle: readonly string[],
): readonly string[] {
  if (templates === 'bundle') return bundle;
  if (templates === 'photo') return ['a photo of a {}.'];
  if (templates === 'bare') return ['{}'];
  if (!Array.isArray(templates)) {
    throw expected('"bundle", "photo", "bare" or an array of strings', 'templates', templates);
  }
  if (templates.length === 0 || templates.length > LIMITS.templates) {
    refuse(`Expected 1 to ${LIMITS.templates} templates but received ${templates.length}`, {});
  }
  for (const template of templates as readonly unknown[]) {
    if (typeof template !== 'string') throw expected('a string', 'a template', template);
    if (template.length > LIMITS.templateLength || !template.includes('{}')) {
      refuse(
        `A template needs {} and at most ${LIMITS.templateLength} characters: ${quote(template)}`,
        { template: template.slice(0, 200) },
      );
    }
  }
  return [...new Set(templates as readonly string[])];
}

/** The template with every {} filled. */
export function fillTemplate(template: string, synonym: string): string {
  return template.split('{}').join(synonym);
}

interface Written {
  readonly name: string;
  readonly synonyms: string[];
  readonly knownAs: readonly string[];
  readonly thing?: boolean | undefined;
  readonly color?: string | undefined;
  readonly templates?: Templates | undefined;
}

function parseClass(input: ClassInput, index: number): Written {
  if (typeof input === 'string') {
    const synonyms = splitNames([input], index);
    return { name: synonyms[0] as string, synonyms, knownAs: [] };
  }
  const path = `classes[${index}]`;
  if (input === null || typeof input !== 'object') {
    throw expected('a string or an object', path, input);
  }
  checkOptions(input, DEFINITION_KEYS, path);
  const { name, synonyms = [], knownAs = [], thing, color, templates } = input;
  if (typeof name !== 'string') throw expected('a string', `${path}.name`, name);
  if (!Array.isArray(synonyms)) throw expected('an array', `${path}.synonyms`, synonyms);
  if (!Array.isArray(knownAs)) throw expected('an array', `${path}.knownAs`, knownAs);
  if (thing !== undefined && typeof thing !== 'boolean') {
    throw expected('a boolean', `${path}.thing`, thing);
  }
  if (color !== undefined && !(typeof color === 'string' && COLOR.test(color))) {
    throw expected('a colour as #rrggbb', `${path}.color`, color);
  }
  const all = splitNames([name, ...synonyms], index);
  return {
    name: all[0] as string,
    synonyms: all,
    knownAs: splitNames(knownAs, index),
    thing,
    color: color?.toLowerCase(),
    templates,
  };
}

function splitNames(texts: readonly unknown[], index: number): string[] {
  const names: string[] = [];
  for (const text of texts) {
    if (typeof text !== 'string')
      throw expected('a string', `a synonym of classes[${index}]`, text);
    for (const part of text.split('|')) {
      const name = part.trim();
      if (name === '') {
        refuse(`Class ${index} (${quote(text)}) has an empty name`, {
          index,
          text: text.slice(0, 200),
        });
      }
      if (name.length > LIMITS.nameLength) {
        refuse(
          `Class ${index} (${quote(name)}) has a name of ${name.length} characters; ` +
            `the limit is ${LIMITS.nameLength}`,
          { index, length: name.length, limit: LIMITS.nameLength },
        );
      }
      names.push(name);
    }
  }
  return [...new Set(names)];
}

function checkDuplicate(seenNames: Map<string, number>, name: string, index: number): void {
  const key = name.toLowerCase().replace(/\s+/g, ' ');
  const first = seenNames.get(key);
  if (first !== undefined) {
    refuse(
      `Classes ${first} and ${index} have the same name, ${quote(name)}; ` +
        'pass duplicates: "keep" to tell them apart by index',
      { name, indices: [first, index] },
    );
  }
  seenNames.set(key, index);
}

function indexTraining(classes: readonly TrainingClass[]): Map<string, TrainingClass> {
  const bySynonym = new Map<string, TrainingClass>();
  for (const trained of classes) {
    for (const synonym of trained.synonyms) {
      if (!bySynonym.has(synonym)) bySynonym.set(synonym, trained);
    }
  }
  return bySynonym;
}

function refuse(message: string, details: Record<string, unknown>): never {
  throw new LexisegError('ERR_VOCABULARY', message, { details });
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}
