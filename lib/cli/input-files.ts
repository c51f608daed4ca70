/** Files that are still to be read, and are not to be written over. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';

/** Many output folders may share one: the files are looked up once. */
export class InputFiles {
  readonly #paths: ReadonlySet<string>;
  #files: Promise<ReadonlySet<string>> | undefined;

  constructor(paths: readonly string[]) {
    this.#paths = new Set(paths.map((path) => resolve(path)));
  }

  /** By path, and by file: links and letter case give one file many paths. */
  async has(path: string): Promise<boolean> {
    if (this.#paths.has(path)) return true;
    if (this.#paths.size === 0) return false;
    this.#files ??= Promise.all([...this.#paths].map(fileOf)).then((files) => {
      return new Set(files.filter((file) => file !== null));
    });
    const file = await fileOf(path);
    return file !== null && (await this.#files).has(file);
  }
}

/** Tells one file of the machine from another; null where there is none. */
async function fileOf(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  return found && `${found.dev}:${found.ino}`;
}
