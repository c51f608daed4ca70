/** The list of categories in COCO's JSON files. */
import { type ById, type Fields, type OnProblem, readById } from './annotation-file.js';
import type { DatasetClass } from './segmentation-dataset.js';

export interface Categories {
  readonly classes: readonly DatasetClass[];
  /** Index into the classes by category id. */
  readonly indexOf: ById<number>;
}

/**
 * Categories in the order of their ids, which is that of published lists of names; `isthing` is true
 * where a file does not say.
 *
 * @param onProblem takes what is wrong with single categories, which are then left out
 */
export function readCategories(file: Fields, onProblem: OnProblem | undefined): Categories {
  const read = (category: Fields): DatasetClass => {
    const thing = category.flag('isthing', true);
    const seen = category.has('seen') ? { seen: category.flag('seen', true) } : {};
    return { ...namesOf(category), thing, ...seen };
  };
  const list = file.list('categories', onProblem);
  const byId = readById(list, (category) => category.count('id'), read, onProblem);
  const classes: DatasetClass[] = [];
  const indexOf = new Map<number, number | undefined>();
  for (const [id, one] of [...byId].sort(([a], [b]) => a - b)) {
    indexOf.set(id, one === undefined ? undefined : classes.length);
    if (one !== undefined) classes.push(one);
  }
  return { classes, indexOf };
}

/** ADE20K's names hold their synonyms, `animal, animate being`. */
function namesOf(category: Fields): { name: string; synonyms: string[] } {
  const [name = '', ...rest] = category.text('name').split(/,\s*/);
  return { name, synonyms: [...rest, ...category.texts('synonyms')] };
}

/** Index of a record's `category_id`; undefined for a category that is wrong, which was told. */
export function classOf(record: Fields, { indexOf }: Categories): number | undefined {
  return record.referred('category_id', indexOf, 'category');
}

/** A file name that does not lead out of its folder. */
export function insideFolder(fields: Fields, key: string): string {
  const name = fields.text(key);
  if (/^[/\\]|(^|[/\\])\.\.([/\\]|$)/.test(name)) fields.fail(key, 'leads out of its folder', name);
  return name;
}
