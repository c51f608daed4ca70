/** Icon sets in Iconify JSON: a drawing for each class that a set has. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export const DEFAULT_SETS = [
  '@iconify-json/noto',
  '@iconify-json/fluent-emoji-flat',
  '@iconify-json/twemoji',
];

/** Names under which sets keep one drawing: full, or shortened as older sets do. */
function candidates(icon) {
  const short = icon.replace(/-(face|with-face|wedge|cube|bread)$/, '');
  return [icon, short, icon.replaceAll('-', ''), `${icon}-1`];
}

export class IconSet {
  #data;
  #names;

  constructor(name, data) {
    this.name = name;
    this.#data = data;
    this.#names = new Set([...Object.keys(data.icons), ...Object.keys(data.aliases ?? {})]);
  }

  /** @param {string} place a package name, a folder with icons.json, or a JSON file. */
  static load(place) {
    const file = locate(place);
    let data;
    try {
      data = JSON.parse(readFileSync(file, 'utf8'));
    } catch (cause) {
      throw new Error(`${file} is not JSON: ${cause.message}`, { cause });
    }
    if (data?.icons === null || typeof data?.icons !== 'object') {
      throw new Error(`${file} is no icon set in Iconify JSON: it has no "icons"`);
    }
    return new IconSet(data.prefix ?? place, data);
  }

  /** The set's own name of a class's drawing, or undefined. */
  nameOf({ icon }) {
    return candidates(icon).find((name) => this.#names.has(name));
  }

  /** SVG of a class's drawing: its inner part and its view box, or undefined. */
  drawing(sceneClass) {
    let name = this.nameOf(sceneClass);
    if (name === undefined) return undefined;
    for (let depth = 0; this.#data.icons[name] === undefined; depth++) {
      name = this.#data.aliases?.[name]?.parent;
      if (name === undefined || depth > 8) return undefined;
    }
    const icon = this.#data.icons[name];
    const width = icon.width ?? this.#data.width ?? 16;
    const height = icon.height ?? this.#data.height ?? 16;
    const { left = 0, top = 0 } = icon;
    return { body: icon.body, viewBox: [left, top, width, height] };
  }
}

function locate(place) {
  const tried = [place, `${place}/icons.json`];
  const found = tried.find((path) => path.endsWith('.json') && existsSync(path));
  if (found !== undefined) return found;
  try {
    return createRequire(import.meta.url).resolve(`${place}/icons.json`);
  } catch {
    throw new Error(
      `No icon set at ${place}: expected a package (npm install --save-dev ${place}), ` +
        'a folder with icons.json, or a JSON file',
    );
  }
}
