/** What an English plural may be the plural of; WordNet's own list of exceptions is not shipped. */

const IRREGULAR: Readonly<Record<string, string>> = {
  children: 'child',
  feet: 'foot',
  geese: 'goose',
  knives: 'knife',
  leaves: 'leaf',
  lives: 'life',
  loaves: 'loaf',
  men: 'man',
  mice: 'mouse',
  oxen: 'ox',
  people: 'person',
  scarves: 'scarf',
  shelves: 'shelf',
  skis: 'ski',
  teeth: 'tooth',
  thieves: 'thief',
  wives: 'wife',
  wolves: 'wolf',
  women: 'woman',
};

/** Endings and what stands in their place, as in WordNet's Morphy. */
const ENDINGS: readonly (readonly [plural: string, singular: string])[] = [
  ['ses', 's'],
  ['xes', 'x'],
  ['zes', 'z'],
  ['ches', 'ch'],
  ['shes', 'sh'],
  ['men', 'man'],
  ['ies', 'y'],
  ['s', ''],
];

/**
 * The form itself, then forms it may be the plural of, the likeliest first. Only the last word of a
 * phrase is changed; words are joined by underscores.
 */
export function singulars(form: string): string[] {
  const start = form.lastIndexOf('_') + 1;
  const head = form.slice(0, start);
  const last = form.slice(start);
  const irregular = Object.hasOwn(IRREGULAR, last) ? IRREGULAR[last] : undefined;
  const forms = [last, ...(irregular === undefined ? [] : [irregular])];
  for (const [plural, singular] of ENDINGS) {
    if (last.length > plural.length && last.endsWith(plural)) {
      forms.push(last.slice(0, -plural.length) + singular);
    }
  }
  return [...new Set(forms)].map((word) => head + word);
}
