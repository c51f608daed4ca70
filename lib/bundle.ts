/** Reads what a bundle says of itself, without its weights. */
import { basename } from 'node:path';
import { findBundleFile } from './bundle-file.js';
import { LexisegError } from './errors.js';
import { runJob } from './job.js';
import { type Manifest, parseManifest } from './manifest.js';
import { native } from './native.js';
import { type CallOptions, checkOptions, LIMITS } from './options.js';
import { ClipTokenizer } from './text/tokenizer.js';

/** How a bundle is named wherever a result shows it. */
export interface BundleLabel {
  /** File name. */
  readonly name: string;
  readonly method: string;
  readonly weights: Manifest['weights']['kind'];
  readonly sha256: string;
  /** The name, with "(random weights)" behind it when the weights are random. */
  readonly label: string;
}

/**
 * The manifest of the bundle at `nameOrPath`, found as `Segmenter.load` finds it; reads no weights.
 *
 * @throws LexisegError `ERR_BUNDLE_READ`, `ERR_BUNDLE_MANIFEST` or `ERR_BUNDLE_VERSION`.
 */
export async function readManifest(
  nameOrPath: string,
  options: CallOptions = {},
): Promise<Manifest> {
  checkOptions(options, ['signal'], 'options');
  const path = await findBundleFile(nameOrPath);
  const [json] = await readExtra(path, ['manifest.json'], options.signal);
  return parseManifest(decodeUtf8(json, path, 'manifest.json', LIMITS.manifestBytes));
}

/** The merges of the tokenizer that the manifest names, one "a b" per line. */
export async function readMerges(
  path: string,
  manifest: Manifest,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { merges } = manifest.tokenizer;
  const [bytes] = await readExtra(path, [merges], signal);
  return decodeUtf8(bytes, path, merges, LIMITS.mergesBytes);
}

/** The tokenizer that the manifest names, of its merges. */
export function tokenizerOf(merges: string, manifest: Manifest): ClipTokenizer {
  const { contextLength, tokenizer } = manifest;
  return new ClipTokenizer(merges, { ...tokenizer, contextLength });
}

/** SHA-256 of the weights in the file against the manifest. */
export async function verifyWeights(
  path: string,
  manifest: Manifest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const actual = await runJob(signal, (job) => native().hashWeights(job, path));
  const promised = manifest.weights.sha256;
  if (actual !== promised) {
    throw new LexisegError('ERR_BUNDLE_HASH', `The weights in ${path} are not those promised`, {
      details: { path, expected: promised, actual },
    });
  }
}

export function labelBundle(path: string, manifest: Manifest): BundleLabel {
  const name = basename(path);
  const { kind, sha256 } = manifest.weights;
  const label = kind === 'random' ? `${name} (random weights)` : name;
  return Object.freeze({ name, method: manifest.method, weights: kind, sha256, label });
}

/** Refuses a bundle whose archive lacks a method that its manifest promises. */
export function checkMethods(manifest: Manifest, methods: readonly string[]): void {
  const missing = manifest.methods.filter((method) => !methods.includes(method));
  if (missing.length > 0) {
    throw new LexisegError(
      'ERR_BUNDLE_CONTRACT',
      `The bundle promises ${missing.join(', ')} and does not have it`,
      { details: { missing, methods } },
    );
  }
}

async function readExtra(
  path: string,
  names: string[],
  signal: AbortSignal | undefined,
): Promise<(Uint8Array | null)[]> {
  return runJob(signal, (job) => native().readExtraFiles(job, path, names));
}

function decodeUtf8(
  bytes: Uint8Array | null | undefined,
  path: string,
  name: string,
  limit: number,
): string {
  if (bytes === null || bytes === undefined) {
    throw new LexisegError('ERR_BUNDLE_MANIFEST', `The bundle ${path} holds no ${name}`, {
      details: { path, file: name },
    });
  }
  if (bytes.byteLength > limit) {
    throw new LexisegError('ERR_BUNDLE_MANIFEST', `${name} in ${path} is over ${limit} bytes`, {
      details: { path, file: name, bytes: bytes.byteLength },
    });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new LexisegError('ERR_BUNDLE_MANIFEST', `${name} in ${path} is not UTF-8`, {
      cause,
      details: { path, file: name },
    });
  }
}
