/** Fetches the Python wheel of torch with the user's own pip, so that mirrors and proxies apply. */
import { spawn, spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LexisegError } from '../errors.js';
import { type Flavour, LIBTORCH_VERSION } from './release.js';

export interface PipOptions {
  readonly flavour: Flavour;
  /** An empty folder for wheels; a virtual environment may be made in it. */
  readonly folder: string;
  readonly indexUrl?: string | undefined;
  readonly findLinks?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onLine?: ((line: string) => void) | undefined;
}

/**
 * Runs `pip download torch==…` and returns the paths of the wheels it fetched.
 *
 * @throws LexisegError `ERR_LIBTORCH_INSTALL` with pip's own last words.
 */
export async function pipDownload(options: PipOptions): Promise<string[]> {
  const python = await findPip(options);
  const wheels = join(options.folder, 'wheels');
  const offline = process.env.LEXISEG_OFFLINE === '1';
  const page = /^(?!file:)[a-z][\w+.-]+:\/\//i.test(options.findLinks ?? '');
  if (offline && page) {
    throw new LexisegError(
      'ERR_LIBTORCH_INSTALL',
      `LEXISEG_OFFLINE=1 forbids the network, and ${options.findLinks} lies behind it`,
    );
  }
  // A folder of wheels is asked alone, unless an index is named beside it; a page has not all of them.
  const alone = options.findLinks !== undefined && !page && options.indexUrl === undefined;
  const noIndex = offline || alone;
  const failures: string[] = [];
  // Without a network, pip's patience costs minutes: only a second round may wait and repeat.
  for (const retries of offline ? [0] : [0, 3]) {
    for (const requirement of requirements(options.flavour)) {
      const args = ['-m', 'pip', 'download', '--no-input', '--disable-pip-version-check'];
      args.push('--retries', String(retries), '--only-binary', ':all:', '--dest', wheels);
      if (options.flavour === 'cpu') args.push('--no-deps');
      if (noIndex) args.push('--no-index');
      if (options.indexUrl) args.push('--index-url', options.indexUrl);
      if (options.findLinks) args.push('--find-links', options.findLinks);
      args.push(requirement);
      options.onLine?.(`pip download ${requirement}`);
      const { status, output } = await run(python, args, options);
      if (status === 0) return listWheels(wheels);
      failures.push(output.trim().split('\n').slice(-3).join('\n'));
    }
  }
  throw new LexisegError(
    'ERR_LIBTORCH_INSTALL',
    `pip found no ${options.flavour} build of torch ${LIBTORCH_VERSION}:\n${failures.at(-1)}\n` +
      'Name the package index that has it with --index-url (or, for npm run demo and npm run setup, ' +
      'in PIP_EXTRA_INDEX_URL, which pip reads itself), a folder of wheels with --find-links, or a ' +
      'LibTorch archive or folder with --from.',
    { details: { requirements: requirements(options.flavour), offline } },
  );
}

/** Where the default index holds CUDA builds, only the tagged version is a CPU build. */
function requirements(flavour: Flavour): string[] {
  const tagged = `torch==${LIBTORCH_VERSION}+${flavour}`;
  const plain = `torch==${LIBTORCH_VERSION}`;
  if (flavour === 'cpu' && process.platform === 'linux' && process.arch === 'x64') return [tagged];
  return [tagged, plain];
}

/** An interpreter with pip: the one asked for, the system's, or one made for the occasion. */
async function findPip(options: PipOptions): Promise<string> {
  const asked = process.env.LEXISEG_PYTHON;
  const candidates = asked && asked !== '0' && asked !== '1' ? [asked] : ['python3', 'python'];
  for (const python of candidates) {
    if (spawnSync(python, ['-m', 'pip', '--version']).status === 0) return python;
  }
  for (const python of candidates) {
    const folder = join(options.folder, 'venv');
    const { status } = await run(python, ['-m', 'venv', folder], options);
    if (status === 0) return join(folder, 'bin', 'python');
  }
  throw new LexisegError(
    'ERR_LIBTORCH_INSTALL',
    `No Python with pip was found (tried ${candidates.join(', ')}), and pip fetches LibTorch. ` +
      'Install python3 and python3-venv, or give a LibTorch archive or folder with --from.',
    { details: { tried: candidates } },
  );
}

function run(
  command: string,
  args: string[],
  options: PipOptions,
): Promise<{ status: number | null; output: string }> {
  return new Promise((settle, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.signal ? { signal: options.signal } : {}),
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-20_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') settle({ status: null, output: error.message });
      else reject(error);
    });
    child.on('close', (status) => settle({ status, output }));
  });
}

async function listWheels(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => name.endsWith('.whl')).map((name) => join(folder, name));
}
