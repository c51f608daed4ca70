/** A bundle's file, opened: what it says of itself, its words, and its network. */
import { stat } from 'node:fs/promises';
import { checkMethods, readManifest, readMerges, tokenizerOf, verifyWeights } from '../bundle.js';
import { findBundleFile } from '../bundle-file.js';
import { outOfRange } from '../errors.js';
import { callNative, runJob, throwIfAborted } from '../job.js';
import type { Exponents, ParsedLoadOptions } from '../load-options.js';
import type { Manifest } from '../manifest.js';
import { type NativeJob, native } from '../native.js';
import type { NativeModel } from '../native-model.js';
import { cacheKey, EmbeddingCache } from '../text/embedding-cache.js';
import { TextEncoder } from '../text/text-encoder.js';

/** What a segmenter is made of. The caller owns the model. */
export interface OpenBundle {
  /** Absolute path of the bundle. */
  readonly path: string;
  readonly manifest: Manifest;
  readonly model: NativeModel;
  readonly encoder: TextEncoder;
}

/** Opens the bundle at `path`, or the shipped one of that name, as the options ask for it. */
export async function openBundle(
  path: string,
  options: ParsedLoadOptions,
  signal: AbortSignal | undefined,
): Promise<OpenBundle> {
  const cache = new EmbeddingCache(options.cache);
  throwIfAborted(signal);
  const file = await findBundleFile(path);
  // Before anything is read: a file that changes meanwhile then leaves a name that never comes again.
  const version = await versionOf(file);
  const manifest = await readManifest(file, { signal });
  const merges = await readMerges(file, manifest, signal);
  const tokenizer = tokenizerOf(merges, manifest);
  if (options.verify) await verifyWeights(file, manifest, signal);
  const model = await runJob(signal, (job) => loadModel(job, { file, manifest, options }));
  try {
    checkMethods(manifest, callNative(() => model.info()).methods);
    const weights = options.verify ? manifest.weights.sha256 : version;
    const { tokenizer: words, contextLength, keepFloat32 } = manifest;
    const origin = cacheKey(weights, merges, words, contextLength, keepFloat32);
    const encoder = new TextEncoder({ model, manifest, tokenizer, cache, origin });
    return { path: file, manifest, model, encoder };
  } catch (error) {
    await model.dispose();
    throw error;
  }
}

/**
 * What stands for the weights of this very file while nobody has compared them with their hash: a
 * manifest may promise that of another bundle, and hashing a large file takes seconds. A change of
 * the file is a change of its times, and the last of them nobody can set.
 */
async function versionOf(file: string): Promise<readonly string[]> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
  return [file, ...[ino, size, mtimeNs, ctimeNs].map(String)];
}

function loadModel(
  job: NativeJob,
  { file, manifest, options }: { file: string; manifest: Manifest; options: ParsedLoadOptions },
): Promise<NativeModel> {
  const { device, dtype, threads } = options;
  const ensemble = exponents(options.ensemble, manifest);
  const edges = inputEdges(options, manifest);
  const { keepFloat32 } = manifest;
  return native().loadModel(job, file, device, dtype, threads, keepFloat32, ensemble, edges);
}

/**
 * Shorter and longer edge of the network input, where they are not the bundle's own.
 *
 * @throws RangeError when the longer one is given below the bundle's shorter one.
 */
function inputEdges(
  { shortestEdge: shortest, longestEdge: longest }: ParsedLoadOptions,
  { image }: Manifest,
): readonly [shortest: number, longest: number] | undefined {
  if (shortest === undefined && longest === undefined) return undefined;
  const { sizeRule } = image;
  const wanted = shortest ?? sizeRule.shortestEdge;
  if (longest !== undefined && longest < wanted) {
    throw outOfRange(`at least the shorter edge's ${wanted}`, 'options.longestEdge', longest);
  }
  const scaled = Math.round((wanted * sizeRule.longestEdge) / sizeRule.shortestEdge);
  return [wanted, Math.max(wanted, longest ?? scaled)];
}

/** Of the ensemble, where they are not the bundle's own; one without an ensemble refuses them. */
function exponents(
  wanted: Exponents | undefined,
  { ensemble }: Manifest,
): readonly [alpha: number, beta: number] | undefined {
  if (wanted?.alpha === undefined && wanted?.beta === undefined) return undefined;
  return [wanted.alpha ?? ensemble?.alpha ?? 0, wanted.beta ?? ensemble?.beta ?? 0];
}
