/** The generator of drawn scenes: the world it draws, and that a seed is all it depends on. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from '../../lib/index.js';
import { root, runNode } from '../cli/command.js';
import { temporaryFolder, writeFiles } from '../cli/places.js';

const CLASSES = JSON.parse(readFileSync(join(root, 'tools/scenes/classes.json'), 'utf8'));
const tool = join(root, 'tools/scenes/main.mjs');

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const byName = (wanted?: string): unknown =>
  CLASSES.find(({ name }: { name: string }) => name === wanted);

async function draw(name: string, ...more: string[]): Promise<string> {
  const place = join(folder, name);
  const { status, stderr } = await runNode([tool, 'scenes', place, '--count', '4', ...more]);
  expect({ status, stderr }).toMatchObject({ status: 0 });
  return place;
}

describe('the drawn world', () => {
  it('has at least 240 things, 16 backgrounds and 48 classes never to be trained on', () => {
    const count = (holds: (one: { thing: boolean; seen: boolean }) => boolean): number =>
      CLASSES.filter(holds).length;
    expect(count(({ thing }) => thing)).toBeGreaterThanOrEqual(240);
    expect(count(({ thing }) => !thing)).toBeGreaterThanOrEqual(16);
    expect(count(({ seen }) => !seen)).toBeGreaterThanOrEqual(48);
    const words = CLASSES.flatMap((one: { name: string; synonyms: string[] }) => [
      one.name,
      ...one.synonyms,
    ]);
    expect(new Set(words).size).toBe(words.length);
  });
});

describe('scenes', () => {
  it('depend on the seed alone, whatever the number of threads', async () => {
    const one = await draw('one', '--seed', '9', '--threads', '1');
    const two = await draw('two', '--seed', '9', '--threads', '2');
    const other = await draw('other', '--seed', '10');
    const files = (place: string): string[] =>
      readdirSync(place, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'journal.jsonl')
        .map((entry) => join(entry.parentPath, entry.name).slice(place.length))
        .sort();
    expect(files(two)).toEqual(files(one));
    for (const file of files(one)) {
      expect(readFileSync(join(two, file)).equals(readFileSync(join(one, file)))).toBe(true);
    }
    const picture = 'images/000001.jpg';
    expect(readFileSync(join(other, picture)).equals(readFileSync(join(one, picture)))).toBe(false);
  }, 120_000);

  it('stop at Ctrl-C with a line, and go on by the same command', async () => {
    const place = join(folder, 'stopped');
    const args = [tool, 'scenes', place, '--count', '40', '--threads', '1'];
    const stopped = await runNode(args, {
      onStderr: (text, kill) => {
        if (text.includes('4 of 40') && !text.includes('stopped')) kill('SIGINT');
      },
    });
    expect(stopped.status).toBe(130);
    expect(stopped.stderr).toMatch(/^(\d+ of 40\n)+stopped; the same command goes on\n$/);
    const { status } = await runNode(args);
    expect(status).toBe(0);
    expect(readdirSync(join(place, 'images'))).toHaveLength(40);
  }, 120_000);

  it('have a segment for every pixel, and captions for every scene', async () => {
    const place = await draw('whole', '--seed', '3');
    const dataset = await openDataset('coco-panoptic', place);
    const captions = readFileSync(join(place, 'captions.jsonl'), 'utf8').trim().split('\n');
    expect(captions).toHaveLength(4);
    for (let index = 0; index < 4; index++) {
      const { ids, segments } = await dataset.truth(index);
      expect(ids.includes(0)).toBe(false);
      expect(new Set(ids).size).toBe(segments.length);
      const things = segments.filter(({ classIndex }) => dataset.classes[classIndex]?.thing);
      expect(things.length).toBeGreaterThanOrEqual(1);
      expect(things.length).toBeLessThanOrEqual(12);
    }
  });

  it.each([
    ['seen', 1],
    ['few', 4],
  ])('can leave out what must not be trained on: %s', async (choice, oneIn) => {
    const place = await draw(choice, '--seed', '4', '--classes', choice);
    const dataset = await openDataset('coco-panoptic', place);
    for (let index = 0; index < dataset.length; index++) {
      for (const { classIndex } of (await dataset.truth(index)).segments) {
        expect(dataset.classes[classIndex]?.seen).toBe(true);
        expect(CLASSES.indexOf(byName(dataset.classes[classIndex]?.name)) % oneIn).toBe(oneIn - 1);
      }
    }
  });

  it('go on where they were stopped', async () => {
    const place = join(folder, 'longer');
    await runNode([tool, 'scenes', place, '--count', '2', '--seed', '6']);
    await runNode([tool, 'scenes', place, '--count', '4', '--seed', '6']);
    const whole = await draw('at-once', '--seed', '6');
    const file = 'panoptic.json';
    expect(readFileSync(join(place, file), 'utf8')).toBe(readFileSync(join(whole, file), 'utf8'));
  });

  it('take icons in another style from a file', async () => {
    const icons = Object.fromEntries(
      CLASSES.filter((one: { thing: boolean }) => one.thing).map((one: { icon: string }) => [
        one.icon,
        { body: '<circle cx="8" cy="8" r="7" fill="#c33"/>', width: 16, height: 16 },
      ]),
    );
    const style = { 'dots.json': JSON.stringify({ prefix: 'dots', icons, width: 16, height: 16 }) };
    writeFiles(folder, style);
    const place = await draw('dots', '--icons', join(folder, 'dots.json'), '--plain', '1');
    expect(readdirSync(join(place, 'images'))).toHaveLength(4);
    const { status, stderr } = await runNode([
      tool,
      'scenes',
      join(folder, 'x'),
      '--icons',
      'none',
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/none/);
  });
});

describe('crops', () => {
  it('come in shards with captions that name their class', async () => {
    const place = join(folder, 'crops');
    const arguments_ = [tool, 'crops', place, '--count', '1', '--seed', '2'];
    expect((await runNode(arguments_)).status).toBe(0);
    const shards = readdirSync(place).filter((name) => name.endsWith('.tar'));
    expect(shards).toEqual(['crops-00000.tar']);
    const text = readFileSync(join(place, 'crops-00000.tar')).toString('latin1');
    const facts = [...text.matchAll(/\{"caption":.*?"class":"[^"]+"\}/g)].map(([json]) =>
      JSON.parse(json),
    );
    expect(new Set(facts.map((one) => one.class)).size).toBe(CLASSES.length);
    for (const { class: name, captions } of facts) {
      const { synonyms } = CLASSES.find((one: { name: string }) => one.name === name);
      for (const caption of captions) {
        expect([name, ...synonyms].some((word) => caption.includes(word))).toBe(true);
      }
    }
  }, 120_000);
});
