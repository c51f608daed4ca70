/** Vocabularies for the benches: ADE20K's names where the checkout has them, else made-up words. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const shared = fileURLToPath(new URL('../../../shared/data/vocabularies/', import.meta.url));
const WORDS = ['red', 'wooden', 'round', 'old', 'glass', 'small', 'striped', 'metal', 'paper'];
const THINGS = ['chair', 'lamp', 'fence', 'door', 'boat', 'cup', 'sign', 'bench', 'roof', 'rope'];

/**
 * @param {150 | 847} count classes of ADE20K wanted
 * @returns {{source: string, classes: {name: string, synonyms: string[], thing: boolean}[]}}
 */
export function adeVocabulary(count) {
  const path = join(shared, `ade20k_${count}_with_prompt_eng.txt`);
  if (!existsSync(path)) return { source: 'made-up words', classes: madeUpClasses(count) };
  const stuff = stuffIds();
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  const classes = lines
    .map((line) => line.split(':'))
    .filter(([, names]) => names !== 'invalid_class_id')
    .map(([id, names]) => {
      const [name, ...synonyms] = [...new Set(names.trim().replaceAll(', ', ',').split(','))];
      return { name, synonyms, thing: !stuff.has(id) };
    });
  return { source: `ADE20K-${count}`, classes };
}

/** Ids that ADE20K's own table calls stuff. */
function stuffIds() {
  const path = join(shared, 'ade20k_150_objectInfo.csv');
  if (!existsSync(path)) return new Set();
  const rows = readFileSync(path, 'utf8').trim().split('\n').slice(1);
  return new Set(
    rows
      .map((row) => row.split(','))
      .filter((c) => c[4] === '1')
      .map((c) => c[0]),
  );
}

function madeUpClasses(count) {
  return Array.from({ length: count }, (_, i) => {
    const name = `${WORDS[i % 9]} ${THINGS[Math.floor(i / 9) % 10]} ${Math.floor(i / 90) || ''}`;
    return { name: name.trim(), synonyms: i % 2 ? [`${name.trim()} part`] : [], thing: i % 3 > 0 };
  });
}

export function synonymCount(classes) {
  return classes.reduce((total, { synonyms }) => total + 1 + synonyms.length, 0);
}
