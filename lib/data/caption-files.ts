/** Image–text samples from a folder of images and a JSONL, CSV or TSV file of captions. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { type Options, parse } from 'csv-parse/sync';
import { LexisegError } from '../errors.js';
import type { ImageText } from './image-text-sample.js';
import { indexedSource, type SampleSource } from './sample-stream.js';

/**
 * Samples of a `.jsonl` file (`{"image": "a.jpg", "caption": "…"}` or `"captions": […]` a line) or a
 * `.csv` file with a heading line (`image,caption`), or a `.tsv` file as `lexiseg mine` writes it
 * (`title`, `filepath`). Images are relative to the file.
 *
 * @throws LexisegError `ERR_DATA` with file and line for what cannot be read.
 */
export async function captionFile(path: string): Promise<SampleSource<ImageText>> {
  const text = await readText(path);
  const rows = rowsOf(path, text);
  const folder = dirname(path);
  const samples = rows.map((row) => sampleOf(path, folder, row));
  if (samples.length === 0) fail(path, 1, 'there is no caption in it');
  return indexedSource(samples.length, (index) => samples[index] as ImageText);
}

function rowsOf(path: string, text: string): Row[] {
  if (path.endsWith('.csv')) return tableRows(path, text, {});
  if (!path.endsWith('.tsv')) return jsonRows(path, text);
  return tableRows(path, text, { delimiter: '\t', quote: false }).map(({ line, fields }) => ({
    line,
    fields: { image: fields.filepath, caption: fields.title },
  }));
}

interface Row {
  readonly line: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const { message } = cause as Error;
    throw new LexisegError('ERR_DATA', `Cannot read ${path}: ${message}`, { cause });
  }
}

function jsonRows(path: string, text: string): Row[] {
  return text.split('\n').flatMap((content, index) => {
    if (content.trim() === '') return [];
    try {
      const fields: unknown = JSON.parse(content);
      if (fields === null || typeof fields !== 'object') throw new Error('expected an object');
      return [{ line: index + 1, fields: fields as Row['fields'] }];
    } catch (cause) {
      return fail(path, index + 1, (cause as Error).message);
    }
  });
}

function tableRows(path: string, text: string, format: Options): Row[] {
  try {
    const usual = { columns: true, info: true, bom: true, skip_empty_lines: true };
    const records = parse(text, { ...usual, ...format });
    return (records as unknown as { record: Row['fields']; info: { lines: number } }[]).map(
      ({ record, info }) => ({ line: info.lines, fields: record }),
    );
  } catch (cause) {
    const { lines, message } = cause as Error & { lines?: number };
    return fail(path, lines ?? 1, message);
  }
}

function sampleOf(path: string, folder: string, { line, fields }: Row): ImageText {
  const { image, caption, captions } = fields;
  if (typeof image !== 'string' || image === '') fail(path, line, 'no path in "image"');
  const found = Array.isArray(captions) ? captions : [caption];
  const isText = (item: unknown): boolean => typeof item === 'string' && item.trim() !== '';
  if (found.length === 0 || !found.every(isText)) {
    fail(path, line, 'no text in "caption" or "captions"');
  }
  const file = isAbsolute(image as string) ? (image as string) : join(folder, image as string);
  if (relative(folder, file).startsWith('..')) fail(path, line, `${image} is outside ${folder}`);
  return { name: `${basename(path)}:${line} ${image}`, image: file, captions: found as string[] };
}

function fail(path: string, line: number, reason: string): never {
  throw new LexisegError('ERR_DATA', `${path}:${line}: ${reason}`, { details: { path, line } });
}
