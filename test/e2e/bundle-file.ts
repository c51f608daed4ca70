/** Where the committed tiny bundles lie, and what may be made of them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { zipOf } from '../cli/zip.js';

const place = (name: string): string =>
  fileURLToPath(new URL(`../../models/bundles/${name}.pt`, import.meta.url));

/** Proposes masks. */
export const TINY_BUNDLE = place('tiny-fc-clip');
/** Scores places. */
export const TINY_DENSE_BUNDLE = place('tiny-pacl');

/** Embeds the masks of other bundles. */
export const TINY_REGION_BUNDLE = place('tiny-ovseg');

/** Classes of the drawn scene. */
export const SCENE_CLASSES = ['sky', 'mountain', 'grass', 'road', 'house', 'tree', 'dog|puppy'];

/** Writes a bundle again, at `path`, its code and JSON as `edit` gives them. */
export function editBundle(
  bundle: string,
  path: string,
  edit: (name: string, text: string) => string,
): string {
  const bytes = readFileSync(bundle);
  const end = bytes.lastIndexOf('PK\x05\x06');
  const items: { name: string; data: Uint8Array | string }[] = [];
  let at = bytes.readUInt32LE(end + 16);
  while (at < end && bytes.readUInt32BE(at) === 0x504b0102) {
    const [size, nameLength] = [bytes.readUInt32LE(at + 20), bytes.readUInt16LE(at + 28)];
    const name = bytes.toString('utf8', at + 46, at + 46 + nameLength);
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + nameLength + bytes.readUInt16LE(local + 28);
    const data = bytes.subarray(start, start + size);
    const isText = /\.(py|json|txt)$/.test(name);
    items.push({ name, data: isText ? edit(name, data.toString()) : data });
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  writeFileSync(path, zipOf(items));
  return path;
}
