import { linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseClassList, readClassFile } from '../../lib/cli/classes.js';
import { wordsFor } from '../../lib/cli/dataset-words.js';
import { exitCodeOf, UsageError } from '../../lib/cli/exit.js';
import { InputFiles } from '../../lib/cli/input-files.js';
import { OutputFolder } from '../../lib/cli/output-folder.js';
import { formatBytes, formatTable, ProgressLine, plain } from '../../lib/cli/terminal.js';
import { LexisegError } from '../../lib/errors.js';
import { temporaryFolder } from './places.js';

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('words for a data set', () => {
  const dog = { name: 'dog', synonyms: ['puppy'], thing: true };

  it('are its own with their synonyms, or without', async () => {
    const dataset = { name: 'street', classes: [dog] };
    expect(await wordsFor(dataset, undefined, 'engineered')).toEqual({
      name: 'names of street (engineered names)',
      classes: [dog],
    });
    expect(await wordsFor(dataset, undefined, 'plain')).toEqual({
      name: 'names of street (plain names)',
      classes: [{ name: 'dog', knownAs: ['puppy'], thing: true }],
    });
  });

  it("are a vocabulary's where one is named", async () => {
    const { name, classes } = await wordsFor(
      { name: 'any', classes: [] },
      'pascal_voc_20',
      'plain',
    );
    expect(name).toBe('Pascal VOC, 20 classes (plain names)');
    expect(classes).toHaveLength(20);
    expect(classes.flatMap(({ synonyms = [] }) => synonyms)).toEqual([]);
  });
});

describe('classes on the command line', () => {
  it('are separated by commas and newlines, and keep their synonyms', () => {
    const text = ' cat|kitten, sofa,\nwooden floor ,, ';
    expect(parseClassList(text)).toEqual(['cat|kitten', 'sofa', 'wooden floor']);
  });

  it('come from a file of lines with comments, or of JSON', async () => {
    const lines = join(folder, 'words.txt');
    writeFileSync(lines, '\uFEFF# animals\r\ncat|kitten\r\n\r\n  dog, big\n');
    expect(await readClassFile(lines)).toEqual(['cat|kitten', 'dog, big']);
    const json = join(folder, 'words.json');
    writeFileSync(json, '["cat", {"name": "sky", "thing": false}]');
    expect(await readClassFile(json)).toEqual(['cat', { name: 'sky', thing: false }]);
  });

  it('are refused with a reason when the file is none', async () => {
    const bad = { 'object.json': '{"a": 1}', 'broken.json': '[1,', 'number.json': '["cat", 3]' };
    for (const [name, text] of Object.entries(bad)) {
      writeFileSync(join(folder, name), text);
      await expect(readClassFile(join(folder, name))).rejects.toMatchObject({
        code: 'ERR_VOCABULARY',
      });
    }
    await expect(readClassFile(join(folder, 'none.txt'))).rejects.toThrow('ENOENT');
  });
});

describe('the output folder', () => {
  it('makes safe names that differ', () => {
    const out = new OutputFolder(folder);
    expect(out.stemFor('/a/b/photo.jpg')).toBe('photo');
    expect(out.stemFor('/c/Photo.png')).toBe('Photo-2');
    expect(out.stemFor('../../etc/passwd')).toBe('passwd');
    expect(out.stemFor('.hidden.jpg')).toBe('hidden');
    expect(out.stemFor('a b;$(rm)\u202e.jpg')).toBe('a_b_rm_');
    expect(out.stemFor('été 写真.webp')).toBe('été_写真');
    expect(out.stemFor('///')).toBe('image');
    expect(out.stemFor(`${'x'.repeat(500)}.png`)).toHaveLength(200);
  });

  it('makes names that fit a file system, in any script', async () => {
    const out = new OutputFolder(folder);
    for (const letter of ['é', '写', '𠀀', 'ж']) {
      const stem = out.stemFor(`${letter.repeat(200)}.png`);
      expect(Buffer.byteLength(stem)).toBeGreaterThan(190);
      expect(stem).toBe(letter.repeat(stem.length / letter.length));
      await out.write(`${stem}.panoptic.png`, '');
    }
  });

  it('never writes over an input, by any of its names', async () => {
    const names = ['a.json', 'linked.json', 'later.json'];
    const elsewhere = join(folder, 'elsewhere.json');
    writeFileSync(join(folder, 'a.json'), 'precious');
    writeFileSync(elsewhere, 'precious');
    linkSync(elsewhere, join(folder, 'linked.json'));
    const inputs = [join(folder, '.', 'a.json'), elsewhere, join(folder, 'later.json')];
    const out = new OutputFolder(folder, new InputFiles(inputs));
    for (const name of names) {
      await expect(out.write(name, 'x')).rejects.toMatchObject({
        code: 'ERR_OUTPUT',
        message: expect.stringContaining('inputs'),
      });
    }
    expect(readFileSync(join(folder, 'a.json'), 'utf8')).toBe('precious');
    await out.write('other.json', 'x');
    await out.write('other.json', 'y');
    expect(readFileSync(join(folder, 'other.json'), 'utf8')).toBe('y');
  });

  it('looks its inputs up once, for however many folders share them', async () => {
    const frame = join(folder, 'frame.png');
    writeFileSync(frame, 'precious');
    const inputs = new InputFiles([frame]);
    await new OutputFolder(folder, inputs).write('a.json', 'x');
    const other = join(folder, 'other');
    mkdirSync(other);
    linkSync(frame, join(other, 'linked.png'));
    // Whoever looked it up now would find nothing.
    rmSync(frame);
    const written = new OutputFolder(other, inputs).write('linked.png', 'x');
    await expect(written).rejects.toMatchObject({ code: 'ERR_OUTPUT' });
  });

  it('writes inside and refuses to leave, by name or by link', async () => {
    const inside = join(folder, 'out');
    const out = new OutputFolder(inside);
    const path = await out.write('a.json', '{}');
    expect(readFileSync(path, 'utf8')).toBe('{}');
    for (const name of ['../b.json', '/tmp/b.json', '.', '..', '', 'c/d.json']) {
      await expect(out.write(name, '')).rejects.toMatchObject({ code: 'ERR_OUTPUT' });
    }
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(inside, 'link.json'));
    await expect(out.write('link.json', 'x')).rejects.toThrow('link');
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    mkdirSync(join(inside, 'folder.json'));
    await expect(out.write('folder.json', 'x')).rejects.toMatchObject({ code: 'ERR_OUTPUT' });
  });
});

describe('what is printed', () => {
  it('aligns words to the left and numbers to the right', () => {
    const table = formatTable(
      ['class', 'area'],
      [
        ['cat', '7%'],
        ['wooden floor', '12.5%'],
      ],
    );
    expect(table.split('\n').slice(2)).toEqual(['cat              7%', 'wooden floor  12.5%']);
  });

  it('shows sizes with three digits', () => {
    expect([0, 999, 1536, 478_000_000].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.54 kB',
      '478 MB',
    ]);
  });

  it('lets no text drive the terminal', () => {
    expect(plain('a\x1b[31mb\u0007\u202ec\n')).toBe('a\uFFFD[31mb\uFFFD\uFFFDc\uFFFD');
  });

  it('gives plain lines without a terminal and a bar with one', () => {
    const collect = (isTTY: boolean): string => {
      const stream = Object.assign(new PassThrough(), { isTTY, columns: 60 });
      const ci = process.env.CI;
      delete process.env.CI;
      const progress = new ProgressLine({ stream: stream as unknown as NodeJS.WriteStream });
      if (ci !== undefined) process.env.CI = ci;
      progress.step('loading');
      progress.fraction('images', 1, 2);
      progress.clear();
      return String(stream.read());
    };
    expect(collect(false)).toBe('loading\n');
    expect(collect(true)).toContain('50%');
    expect(collect(true).endsWith('\r\x1b[2K')).toBe(true);
  });
});

describe('exit codes', () => {
  it('tell usage, the installation, an interrupt and other failures apart', () => {
    expect(exitCodeOf(new UsageError('x'), false)).toBe(2);
    expect(exitCodeOf(new TypeError('Expected a path for x but received 7'), false)).toBe(2);
    expect(exitCodeOf(new TypeError('x is not a function'), false)).toBe(1);
    expect(exitCodeOf(new LexisegError('ERR_LIBTORCH_NOT_FOUND', 'x'), false)).toBe(3);
    expect(exitCodeOf(new LexisegError('ERR_IMAGE_READ', 'x'), false)).toBe(1);
    expect(exitCodeOf(new LexisegError('ERR_ABORTED', 'x'), false)).toBe(130);
    expect(exitCodeOf(new Error('x'), true)).toBe(130);
  });
});
