/** The manifest of a bundle that comes out of training. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packageFolder } from '../binaries.js';
import { expected } from '../errors.js';
import type { Manifest, TrainingClass } from '../manifest.js';
import { booleanValue, checkOptions, oneOf } from '../options.js';

export interface BundleExport {
  /** Of the stored weights; default `float32`. */
  readonly dtype?: 'float32' | 'bfloat16' | undefined;
  /** The moving average of the weights where one is kept; default true. */
  readonly movingAverage?: boolean | undefined;
  /** Keep the loss, so that training can go on from the bundle; default false. */
  readonly trainable?: boolean | undefined;
  /** What the weights were made from, for people; by default the bundle that training began with. */
  readonly source?: string | undefined;
  /** Terms of the weights; by default those of the bundle that training began with. */
  readonly licence?: string | undefined;
}

interface Facts {
  /** Classes of the run, or undefined to keep those of the bundle. */
  readonly classes: readonly TrainingClass[] | undefined;
  readonly torchVersion: string;
  readonly begunWith: string;
}

/** Options completed, and the manifest as text with 64 zeros where the hash will be. */
export function trainedManifest(
  manifest: Manifest,
  options: BundleExport,
  facts: Facts,
): {
  dtype: 'float32' | 'bfloat16';
  movingAverage: boolean;
  manifest: string;
  trainable: boolean;
} {
  const keys = ['dtype', 'movingAverage', 'trainable', 'source', 'licence', 'signal'];
  checkOptions(options, keys, 'options');
  const dtype = oneOf(options.dtype ?? 'float32', ['float32', 'bfloat16'], 'options.dtype');
  const trainable = booleanValue(options.trainable ?? false, 'options.trainable');
  const source = options.source ?? `trained from ${basename(facts.begunWith)}`;
  const licence = options.licence ?? manifest.weights.licence;
  for (const [name, value] of Object.entries({ source, licence })) {
    if (typeof value !== 'string') throw expected('a string', `options.${name}`, value);
  }
  const { training, ...rest } = manifest;
  const next: Manifest = {
    ...rest,
    trainingClasses: facts.classes ?? manifest.trainingClasses,
    weights: { kind: 'trained', source, licence, sha256: '0'.repeat(64), dtype },
    torchVersion: facts.torchVersion,
    createdBy: `lexiseg ${packageVersion()}`,
    ...(trainable && training !== undefined ? { training } : {}),
  };
  const movingAverage = booleanValue(options.movingAverage ?? true, 'options.movingAverage');
  return { dtype, movingAverage, manifest: JSON.stringify(next, null, 1), trainable };
}

function packageVersion(): string {
  const file = readFileSync(join(packageFolder, 'package.json'), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}
