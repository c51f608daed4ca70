/** Captions in varied English that name what is there. */

const IRREGULAR = {
  mouse: 'mice',
  sheep: 'sheep',
  deer: 'deer',
  fish: 'fish',
  knife: 'knives',
  wolf: 'wolves',
  leaf: 'leaves',
  goose: 'geese',
  foot: 'feet',
  tooth: 'teeth',
  squid: 'squid',
  shrimp: 'shrimp',
  bison: 'bison',
  ox: 'oxen',
  loaf: 'loaves',
  scarf: 'scarves',
  person: 'people',
};
const NUMBERS = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const PICTURES = [
  'a picture of',
  'a photo of',
  'a drawing of',
  'an image of',
  'an illustration of',
];
const VERBS = ['there is', 'we can see', 'one sees', 'it shows', 'here is'];

const pluralOf = (name) => {
  const words = name.split(' ');
  const last = words.pop();
  const plural =
    IRREGULAR[last] ??
    (/(s|x|z|ch|sh)$/.test(last)
      ? last.endsWith('s')
        ? last
        : `${last}es`
      : /[^aeiou]y$/.test(last)
        ? `${last.slice(0, -1)}ies`
        : `${last}s`);
  return [...words, plural].join(' ');
};

const withArticle = (name) =>
  /s$/.test(name) && !/(ss|us)$/.test(name)
    ? name
    : `${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`;

/** A name of a class: its own, or sometimes a synonym. */
function nameOf(random, { name, synonyms }) {
  return synonyms.length > 0 && random.chance(0.35) ? random.pick(synonyms) : name;
}

function counted(random, sceneClass, count) {
  const name = nameOf(random, sceneClass);
  if (count === 1) return withArticle(name);
  const number = count < NUMBERS.length && random.chance(0.7) ? NUMBERS[count] : 'some';
  return `${number} ${pluralOf(name)}`;
}

const listed = (parts) =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;

/** Of a crop that shows one class: a short phrase. */
export function cropCaption(random, sceneClass) {
  const name = nameOf(random, sceneClass);
  const noun = sceneClass.thing ? withArticle(name) : name;
  const form = random.next();
  if (form < 0.35) return name;
  if (form < 0.6) return noun;
  if (form < 0.85) return `${random.pick(PICTURES)} ${noun}`;
  return `${random.pick(VERBS)} ${noun}`;
}

/**
 * Of a scene.
 *
 * @param {{ sceneClass: object, count: number }[]} things in it
 * @param {object[]} stuff behind them
 */
export function sceneCaption(random, things, stuff) {
  const named = random
    .shuffled(things)
    .slice(0, random.integer(1, 6))
    .map(({ sceneClass, count }) => counted(random, sceneClass, count));
  const ground = random.shuffled(stuff).map((item) => nameOf(random, item));
  const place = ground.length === 0 ? '' : listed(ground);
  if (named.length === 0) return `${random.pick(PICTURES)} ${place}`;
  const subject = listed(named);
  if (place === '' || random.chance(0.2)) {
    return random.chance(0.5) ? `${random.pick(PICTURES)} ${subject}` : subject;
  }
  return random.pick([
    `${subject} in front of ${place}`,
    `${subject} with ${place}`,
    `${random.pick(PICTURES)} ${subject} on ${place}`,
    `${place} with ${subject}`,
    `${subject}; behind, ${place}`,
  ]);
}
