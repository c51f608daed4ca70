/** The list of categories in COCO's JSON files. */
import type { Fields } from './annotation-file.js';
import type { DatasetClass } from './segmentation-dataset.js';

export interface Categories {
  readonly classes: readonly DatasetClass[];
  /** Index into the classes by category id. */
  readonly indexOf: ReadonlyMap<number, number>;
}

/**
 * Categories in the order of their ids, which is that of published lists of names; `isthing` is true
 * where a file does not say.
 */
export function readCategories(file: Fields): Categories {
  const classOfId = new Map<number, DatasetClass>();
  for (const category of file.list('categories')) {
    const id = category.count('id');
    if (classOfId.has(id)) category.fail('id', 'is there twice', id);
    const { name, synonyms } = namesOf(category);
    const thing = category.flag('isthing', true);
    const seen = category.has('seen') ? { seen: category.flag('seen', true) } : {};
    classOfId.set(id, { name, synonyms, thing, ...seen });
  }
  const byId = [...classOfId].sort(([a], [b]) => a - b);
  return {
    classes: byId.map(([, one]) => one),
    indexOf: new Map(byId.map(([id], index) => [id, index])),
  };
}

/** ADE20K's names hold their synonyms, `animal, animate being`. */
function namesOf(category: Fields): { name: string; synonyms: string[] } {
  const [name = '', ...rest] = category.text('name').split(/,\s*/);
  return { name, synonyms: [...rest, ...category.texts('synonyms')] };
}

/** Index of a record's `category_id`. */
export function classOf(record: Fields, { indexOf }: Categories): number {
  const id = record.count('category_id');
  return indexOf.get(id) ?? record.fail('category_id', 'is no category', id);
}

/** A file name that does not lead out of its folder. */
export function insideFolder(fields: Fields, key: string): string {
  const name = fields.text(key);
  if (/^[/\\]|(^|[/\\])\.\.([/\\]|$)/.test(name)) fields.fail(key, 'leads out of its folder', name);
  return name;
}
