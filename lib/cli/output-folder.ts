/** Writes the files of results, never outside one folder and never through a link. */
import { constants } from 'node:fs';
import { access, appendFile, lstat, writeFile } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { LexisegError } from '../errors.js';
import { makeFolder } from '../make-folder.js';
import { InputFiles } from './input-files.js';

/** UTF-8 bytes; a file name may have 255, and endings are added. */
const MAXIMUM_STEM = 200;

export class OutputFolder {
  readonly path: string;
  readonly #stems = new Set<string>();
  readonly #begun = new Set<string>();
  readonly #inputs: InputFiles;

  /** @param inputs what is never written */
  constructor(path: string, inputs: InputFiles = new InputFiles([])) {
    this.path = resolve(path);
    this.#inputs = inputs;
  }

  /**
   * Makes the folder and sees that files can be written there, before work whose results go there.
   *
   * @throws LexisegError `ERR_OUTPUT`.
   */
  async open(): Promise<void> {
    try {
      makeFolder(this.path);
      await access(this.path, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw notWritten(this.path, error);
    }
  }

  /** A file name for an image, safe on every file system and different for each call. */
  stemFor(image: string): string {
    const name = basename(image, extname(image))
      .normalize('NFC')
      .replace(/[^\p{L}\p{N}._-]+/gu, '_')
      .replace(/^[._-]+/, '');
    const stem = cutToBytes(name, MAXIMUM_STEM) || 'image';
    let unique = stem;
    for (let i = 2; this.#stems.has(unique.toLowerCase()); i++) unique = `${stem}-${i}`;
    this.#stems.add(unique.toLowerCase());
    return unique;
  }

  /**
   * Writes one file and returns its path.
   *
   * @throws LexisegError `ERR_OUTPUT` for a name with a folder in it, a link or an input in the way,
   * or a disk that refuses.
   */
  async write(name: string, content: string | Uint8Array): Promise<string> {
    const path = await this.reserve(name);
    try {
      await writeFile(path, content);
    } catch (error) {
      throw notWritten(path, error);
    }
    return path;
  }

  /**
   * Adds to one file, which the first call begins, and returns its path.
   *
   * @throws LexisegError `ERR_OUTPUT` as {@link OutputFolder.write}.
   */
  async append(name: string, content: string): Promise<string> {
    if (!this.#begun.has(name)) {
      this.#begun.add(name);
      return this.write(name, content);
    }
    const path = join(this.path, name);
    try {
      await appendFile(path, content);
    } catch (error) {
      throw notWritten(path, error);
    }
    return path;
  }

  /**
   * The path of a file that another process is to write; its folder is made.
   *
   * @throws LexisegError `ERR_OUTPUT` as {@link OutputFolder.write}.
   */
  async reserve(name: string): Promise<string> {
    const path = join(this.path, name);
    try {
      if (basename(name) !== name || name === '' || name.startsWith('.')) {
        throw new Error('its name would lead out of the folder');
      }
      makeFolder(this.path);
      const present = await lstat(path).catch(() => null);
      if (present?.isSymbolicLink()) throw new Error('a link is in the way');
      if (await this.#inputs.has(path)) throw new Error('it is one of the inputs');
    } catch (error) {
      throw notWritten(path, error);
    }
    return path;
  }
}

/** The longest beginning of at most `most` UTF-8 bytes that cuts no character in two. */
function cutToBytes(text: string, most: number): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(most)).read);
}

function notWritten(path: string, error: unknown): LexisegError {
  const reason = error instanceof Error ? error.message : String(error);
  return new LexisegError('ERR_OUTPUT', `${path} was not written: ${reason}`, {
    cause: error,
    details: { path },
  });
}
