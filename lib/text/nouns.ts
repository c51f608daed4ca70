/** Nouns of captions, by the part-of-speech tagger of the package `compromise`. */
import { LexisegError } from '../errors.js';

/** Nouns of a caption, singular and lower-case, each once, in their order. */
export type NounFinder = (caption: string) => string[];

/** What is used of the tagger. */
interface Term {
  readonly text: string;
  readonly tags: readonly string[];
}
type Tagger = (text: string) => {
  terms(): { json(): { terms: Term[] }[] };
  nouns(): { toSingular(): unknown };
};

const PACKAGE = 'compromise';
/** Words of a noun that is more than one: "traffic light", "ping pong ball". */
const MOST_WORDS = 3;
/** Tags of words that name no thing one could see. */
const NO_NAMES = ['Pronoun', 'Value', 'Date', 'Unit', 'Possessive', 'Abbreviation'];
/** Nouns that captions use of the picture itself, or of no thing. */
const EMPTY = new Set(
  'photo picture image photograph view scene background foreground front top side bottom middle lot group bunch pair couple set type kind piece thing something anything'.split(
    ' ',
  ),
);

/** Things whose names look like something one does. */
const NAMES_IN_ING = new Set(
  'awning building ceiling clothing covering dressing earring evening flooring fencing icing king lightning lining morning opening painting parking pudding railing ring sibling siding spring string swing thing wedding wing'.split(
    ' ',
  ),
);
/** Singular words that look like plurals. */
const SINGULAR = /(eros|us|ss|is)$/;

/** @throws LexisegError `ERR_UNSUPPORTED` when the tagger is not installed. */
export async function openNounFinder(): Promise<NounFinder> {
  const tag = await loadTagger();
  return (caption) => {
    const nouns = new Set<string>();
    let run: string[] = [];
    const close = (): void => {
      const noun = singular(tag, run.slice(-MOST_WORDS).join(' '));
      if (noun.length > 1 && !EMPTY.has(noun)) nouns.add(noun);
      run = [];
    };
    for (const { terms } of tag(caption.slice(0, 2_000)).terms().json()) {
      for (const { text, tags } of terms) {
        const isName = isNoun(text.toLowerCase(), tags);
        if (isName) run.push(text.toLowerCase());
        // Punctuation ends a noun as another word does.
        if (!isName || /[.,;:!?)]$/.test(text)) close();
      }
    }
    close();
    return [...nouns];
  };
}

function isNoun(word: string, tags: readonly string[]): boolean {
  if (!tags.includes('Noun') || NO_NAMES.some((other) => tags.includes(other))) return false;
  const bare = word.replace(/[^\p{L}]+$/u, '');
  return !bare.endsWith('ing') || NAMES_IN_ING.has(bare);
}

function singular(tag: Tagger, words: string): string {
  const clean = words.replace(/[^\p{L}\p{N}' -]/gu, '').trim();
  if (clean === '' || SINGULAR.test(clean)) return clean.toLowerCase();
  const nouns = tag(clean).nouns().toSingular() as { text(): string };
  return (nouns.text() || clean).toLowerCase().trim();
}

async function loadTagger(): Promise<Tagger> {
  try {
    const found: unknown = await import(PACKAGE);
    return (found as { default: Tagger }).default;
  } catch (cause) {
    const how = `npm install ${PACKAGE}`;
    throw new LexisegError('ERR_UNSUPPORTED', `The tagger of nouns is not installed: ${how}`, {
      cause,
    });
  }
}
