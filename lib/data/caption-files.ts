/** Image–text samples from a folder of images and a JSONL, CSV or TSV file of captions. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { type Options, parse } from 'csv-parse/sync';
import { LexisegError } from '../errors.js';
import { type OnProblem, readOne, readRecords } from './annotation-file.js';
import { captionsOf, type ImageText } from './image-text-sample.js';
import { indexedSource, type SampleSource } from './sample-stream.js';

/**
 * Samples of a `.jsonl` file (`{"image": "a.jpg", "caption": "…"}` or `"captions": […]` a line) or a
 * `.csv` file with a heading line (`image,caption`), or a `.tsv` file as `lexiseg mine` writes it
 * (`title`, `filepath`). Images are relative to the file. Lines of one image are one sample with the
 * captions of all.
 *
 * @param onProblem takes what is wrong with single lines, which are then left out
 * @throws LexisegError `ERR_DATA` with file and line for what cannot be read.
 */
export async function captionFile(
  path: string,
  onProblem?: OnProblem,
): Promise<SampleSource<ImageText>> {
  const text = await readText(path);
  const rows = rowsOf(path, text, onProblem);
  const folder = dirname(path);
  const samples = byImage(readRecords(rows, (row) => sampleOf(path, folder, row), onProblem));
  if (samples.length === 0) {
    readOne(() => fail(path, 1, 'there is no caption in it'), onProblem);
  }
  return indexedSource(samples.length, (index) => samples[index] as ImageText);
}

function rowsOf(path: string, text: string, onProblem: OnProblem | undefined): Row[] {
  if (path.endsWith('.csv')) return tableRows(path, text, {}, onProblem);
  if (!path.endsWith('.tsv')) return jsonRows(path, text, onProblem);
  const format = { delimiter: '\t', quote: false } as const;
  return tableRows(path, text, format, onProblem).map(({ line, fields }) => ({
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

function jsonRows(path: string, text: string, onProblem: OnProblem | undefined): Row[] {
  const read = (content: string, index: number): Row[] => {
    if (content.trim() === '') return [];
    try {
      const fields: unknown = JSON.parse(content);
      if (fields === null || typeof fields !== 'object') throw new Error('expected an object');
      return [{ line: index + 1, fields: fields as Row['fields'] }];
    } catch (cause) {
      return fail(path, index + 1, (cause as Error).message);
    }
  };
  return readRecords(text.split('\n'), read, onProblem).flat();
}

function tableRows(
  path: string,
  text: string,
  format: Options,
  onProblem: OnProblem | undefined,
): Row[] {
  const refuse = (cause: unknown): never => {
    const { lines, message } = cause as Error & { lines?: number };
    return fail(path, lines ?? 1, message);
  };
  const usual = { columns: true, info: true, bom: true, skip_empty_lines: true };
  // The parser's types do not know `on_skip`. After quotes that are wrong it goes on at the next one.
  const checking: Options & { on_skip: (cause: unknown) => void } = {
    skip_records_with_error: true,
    on_skip: (cause) => readOne(() => refuse(cause), onProblem),
  };
  try {
    const records = parse(text, { ...usual, ...format, ...(onProblem ? checking : {}) });
    return (records as unknown as { record: Row['fields']; info: { lines: number } }[]).map(
      ({ record, info }) => ({ line: info.lines, fields: record }),
    );
  } catch (cause) {
    return refuse(cause);
  }
}

/** A sample for each image, named for the first line that it is in. */
function byImage(samples: readonly FileSample[]): ImageText[] {
  const merged = new Map<string, { name: string; image: string; captions: string[] }>();
  for (const { name, image, captions } of samples) {
    const place = resolve(image);
    const known = merged.get(place);
    if (known === undefined) merged.set(place, { name, image, captions: [...captions] });
    else known.captions.push(...captions);
  }
  return [...merged.values()];
}

interface FileSample extends ImageText {
  readonly image: string;
}

function sampleOf(path: string, folder: string, { line, fields }: Row): FileSample {
  const { image } = fields;
  if (typeof image !== 'string' || image === '') return fail(path, line, 'no path in "image"');
  const captions = captionsOf(fields) ?? fail(path, line, 'no text in "caption" or "captions"');
  const file = isAbsolute(image) ? image : join(folder, image);
  if (relative(folder, file).startsWith('..')) fail(path, line, `${image} is outside ${folder}`);
  return { name: `${basename(path)}:${line} ${image}`, image: file, captions };
}

function fail(path: string, line: number, reason: string): never {
  throw new LexisegError('ERR_DATA', `${path}:${line}: ${reason}`, { details: { path, line } });
}
