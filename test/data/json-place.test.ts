/** Where values of a JSON file stand. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JsonPlaces } from '../../lib/data/json-place.js';
import { openDataset } from '../../lib/index.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';

let root: string;
let file: string;
beforeEach(() => {
  root = temporaryFolder();
  file = join(root, 'a.json');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Line and column of what stands once in a text, counted letter by letter. */
function placeOf(text: string, what: string): string {
  const lines = text.slice(0, text.indexOf(what)).split('\n');
  return `${file}:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
}

describe('places in a JSON file', () => {
  const RECORDS = 3_000;
  const json = {
    info: { 'a "key"': '}],\\"é', list: [] },
    records: Array.from({ length: RECORDS }, (_, i) => ({
      id: 1_000_000 + i,
      names: ['", [', `text ${i}`],
      parts: [{ at: [2_000_000 + i, -1.5e-7] }, null, true],
    })),
  };

  it.each([
    ['of one line', undefined],
    ['of many lines', 1],
  ])('are found in any order in a file %s', (_, indent) => {
    const text = JSON.stringify(json, null, indent);
    expect(text.length).toBeGreaterThan(3 * 65_536);
    writeFileSync(file, text);
    const places = new JsonPlaces(file);
    for (let step = 0; step < 500; step++) {
      // Coprime to their number: every record at most once, up and down.
      const i = (step * 1_409) % RECORDS;
      expect(places.of(`records[${i}].id`)).toBe(placeOf(text, `${1_000_000 + i}`));
      const inside = places.of(`records[${i}].parts[0].at[0]`);
      expect(inside).toBe(placeOf(text, `${2_000_000 + i}`));
    }
  });

  it('are those of the deepest part that is there', () => {
    const text = JSON.stringify(json, null, 1);
    writeFileSync(file, text);
    const places = new JsonPlaces(file);
    expect(places.of('')).toBe(`${file}:1:1`);
    expect(places.of('absent.key')).toBe(`${file}:1:1`);
    expect(places.of('info.list[0]')).toBe(placeOf(text, '[]'));
    expect(places.of(`records[${RECORDS}]`)).toBe(placeOf(text, '[\n  {\n   "id": 1000000,'));
    expect(places.of('records[0].names.x')).toBe(placeOf(text, '[\n    "\\", ["'));
  });

  it('are the file alone when it is another one by now', () => {
    for (const text of ['{"records": [{"id": "cut', '{"records": [[', '{"']) {
      writeFileSync(file, text);
      expect(new JsonPlaces(file).of('records[1].id')).toBe(file);
    }
  });
});

it('a file is read once for all that is wrong in it', async () => {
  const json = {
    images: [{ id: 1, file_name: 'a.jpg', width: 8, height: 5 }],
    categories: [{ id: 1, name: 'cat' }],
    annotations: [0, 1].map((id) => ({ id, image_id: 1, category_id: 1, segmentation: [[id]] })),
  };
  writeFiles(root, { 'instances.json': JSON.stringify(json, null, 1) });
  const dataset = await openDataset('coco-instance', root);
  const problems: string[] = [];
  const truth = dataset.truth(0, ({ message }) => {
    problems.push(message);
    // Whatever is told from now on is not from the disk.
    rmSync(join(root, 'instances.json'), { force: true });
  });
  expect((await truth).segments).toEqual([]);
  expect(problems).toEqual([
    expect.stringMatching(/instances\.json:\d+:\d+: annotations\[0\]\.segmentation\[0\]/),
    expect.stringMatching(/instances\.json:\d+:\d+: annotations\[1\]\.segmentation\[0\]/),
  ]);
});
