/** The classes of the drawn world and their one split into seen and unseen. */
import { readFileSync } from 'node:fs';

/**
 * @typedef {object} SceneClass
 * @property {number} id category id in the annotations, from 1
 * @property {string} name
 * @property {string[]} synonyms further nouns for it
 * @property {string} [icon] name in Iconify sets, of things
 * @property {boolean} thing
 * @property {boolean} seen whether masks of it may be trained on
 */

/** @type {readonly SceneClass[]} */
export const CLASSES = Object.freeze(
  JSON.parse(readFileSync(new URL('./classes.json', import.meta.url), 'utf8')).map((entry, index) =>
    Object.freeze({ id: index + 1, ...entry }),
  ),
);

export const THINGS = CLASSES.filter(({ thing }) => thing);
export const STUFF = CLASSES.filter(({ thing }) => !thing);

/** In the order of videos: stuff first, whose numbers are then far from those of things. */
export const VIDEO_CLASSES = [...STUFF, ...THINGS];

/** Of the seen classes, one in so many is among the few. */
const FEW = 4;

/** Choices of classes; the `few` are some of those that are seen. */
const CHOICES = {
  all: () => true,
  seen: ({ seen }) => seen,
  unseen: ({ seen }) => !seen,
  few: ({ seen, id }) => seen && id % FEW === 0,
};

export const CLASS_CHOICES = Object.keys(CHOICES);

/**
 * @param {keyof typeof CHOICES} choice
 * @param {readonly SceneClass[]} classes
 */
export const chosenClasses = (choice, classes) => classes.filter(CHOICES[choice]);

/** Categories as COCO panoptic files list them, with synonyms and the split beside. */
export function categories() {
  return CLASSES.map(({ id, name, synonyms, thing, seen }) => ({
    id,
    name,
    synonyms,
    isthing: thing ? 1 : 0,
    seen,
  }));
}
