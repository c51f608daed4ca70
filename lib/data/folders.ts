/** Finds the images of a layout, and the map that belongs to each. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import { dataError, type OnProblem, readRecords } from './annotation-file.js';
import type { LabelledImage } from './label-maps.js';

/** What several data sets call the folders of their splits. */
export const PARTS = { train: 'training', val: 'validation' } as const;

/** Where images and maps lie; `map` names the map of an image without its ending. */
export interface PairedFolders {
  readonly images: string;
  readonly maps: string;
  /** What image files end in. */
  readonly imageEnding: RegExp;
  /** The map's file for an image's path below `images`, its ending removed. */
  readonly mapOf: (stem: string) => string;
}

/** Names of what lies in a folder. */
export function filesIn(folder: string, options: { recursive?: boolean } = {}): string[] {
  try {
    return readdirSync(folder, { ...options, encoding: 'utf8' });
  } catch (cause) {
    return dataError(folder, '', `cannot be read: ${(cause as Error).message}`, cause);
  }
}

/** The first of several folders below `root` that exists. */
export function firstFolder(root: string, choices: readonly string[], what: string): string {
  const places = choices.map((choice) => join(root, choice));
  const found = places.find((place) => existsSync(place));
  return found ?? dataError(root, '', `holds no ${what}; looked for ${places.join(', ')}`);
}

/**
 * Every image below a folder that has a map. An image whose map is missing is an error.
 *
 * @throws LexisegError `ERR_DATA` that names the image.
 */
export function pairedImages(folders: PairedFolders, onProblem?: OnProblem): LabelledImage[] {
  const { images, maps, imageEnding, mapOf } = folders;
  const names = filesIn(images, { recursive: true })
    .filter((name) => imageEnding.test(name))
    .sort();
  const pair = (name: string): LabelledImage => {
    const image = join(images, name);
    const map = join(maps, mapOf(name.replace(imageEnding, '')));
    if (!existsSync(map)) dataError(image, '', `has no map ${relative(maps, map)} in ${maps}`);
    return { name: name.slice(0, -extname(name).length), image, map };
  };
  return readRecords(names, pair, onProblem);
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/);
  } catch (cause) {
    return dataError(file, '', `cannot be read: ${(cause as Error).message}`, cause);
  }
}

/** Images that a list names, a name in each line. */
export function listedImages(
  list: string,
  pathsOf: (name: string) => Omit<LabelledImage, 'name'>,
  onProblem?: OnProblem,
): LabelledImage[] {
  const lines = linesOf(list);
  const read = (line: string, index: number): LabelledImage[] => {
    const name = line.trim();
    if (name === '') return [];
    const place = `${list}:${index + 1}`;
    if (!/^[\w.-]+$/.test(name)) dataError(place, '', `is no image name (${name.slice(0, 60)})`);
    const paths = pathsOf(name);
    for (const path of Object.values(paths)) {
      if (!existsSync(path)) dataError(place, '', `names ${name}, but there is no ${path}`);
    }
    return [{ name, ...paths }];
  };
  return readRecords(lines, read, onProblem).flat();
}
