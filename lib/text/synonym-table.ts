/** Synonyms of class names from WordNet, to be reviewed and then trained with (GKC, sec. 3.1). */
import { checkOptions, oneOf } from '../options.js';
import type { WordNet } from './wordnet.js';
import { WORDNET_ALIASES } from './wordnet-aliases.js';

export interface SynonymOptions {
  /** All meanings of a noun, or the most common alone. Default `all`. */
  readonly senses?: 'all' | 'first' | undefined;
  /** What to look up instead of a name that WordNet has not, by name; COCO's and VIPSeg's have theirs. */
  readonly aliases?: Readonly<Record<string, string>> | undefined;
}

/** One class with the words that may stand for it. */
export interface SynonymRow {
  readonly name: string;
  /** The noun that was looked up; undefined when WordNet has none. */
  readonly lemma: string | undefined;
  /** The name itself first, then WordNet's words, with spaces. */
  readonly synonyms: readonly string[];
  /** Words left out because they also stand for another class. */
  readonly shared: readonly string[];
  /** Meanings that were read, for the reviewer. */
  readonly senses: readonly string[];
}

/** COCO's panoptic names as words: "wall-brick" → "wall brick", "sky-other-merged" → "sky". */
export function cleanClassName(name: string): string {
  const cleaned = name
    .replace(/-merged$/, '')
    .replace(/-other$/, '')
    .replace(/[-_]/g, ' ');
  return cleaned.trim().replace(/\s+/g, ' ') || name;
}

/** Of a table that classes are looked up in: a class may be called "constructor". */
const own = (table: Readonly<Record<string, string>> | undefined, name: string) =>
  table !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;

/**
 * A row for each class. A word that would stand for two classes stands for neither, unless it is the
 * name of one: training would push true synonyms apart.
 */
export function synonymTable(
  classes: readonly string[],
  wordNet: WordNet,
  options: SynonymOptions = {},
): SynonymRow[] {
  checkOptions(options, ['senses', 'aliases'], 'options');
  const which = oneOf(options.senses ?? 'all', ['all', 'first'], 'options.senses');
  const found = classes.map((given) => {
    const name = cleanClassName(given);
    const alias =
      own(options.aliases, given) ?? own(options.aliases, name) ?? own(WORDNET_ALIASES, name);
    const lemma = wordNet.lemma(alias ?? name);
    const all = lemma === undefined ? [] : wordNet.senses(lemma);
    const senses = which === 'first' ? all.slice(0, 1) : all;
    const words = senses.flatMap(({ words: own }) => own.map((word) => word.toLowerCase()));
    return { given, name, lemma: lemma?.replaceAll('_', ' '), senses, words: new Set(words) };
  });
  const names = new Map(found.map(({ name }, index) => [name.toLowerCase(), index]));
  const owners = new Map<string, number>();
  for (const { words } of found) {
    for (const word of words) owners.set(word, (owners.get(word) ?? 0) + 1);
  }
  return found.map(({ given, name, lemma, senses, words }, index) => {
    const others = [...words].filter((word) => word !== name.toLowerCase());
    const isShared = (word: string): boolean =>
      (owners.get(word) as number) > 1 || (names.get(word) ?? index) !== index;
    return {
      name: given,
      lemma,
      synonyms: [name, ...others.filter((word) => !isShared(word))],
      shared: others.filter(isShared),
      senses: senses.map(({ words: own, gloss }) => `${own.join(', ')}: ${gloss}`),
    };
  });
}
