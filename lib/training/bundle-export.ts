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

const KEYS = ['dtype', 'movingAverage', 'trainable', 'source', 'licence', 'signal'];

/** Checked, and completed but for what comes from the bundle. */
interface ParsedExport {
  readonly dtype: 'float32' | 'bfloat16';
  readonly movingAverage: boolean;
  readonly trainable: boolean;
  readonly source: string | undefined;
  readonly licence: string | undefined;
}

/** @throws TypeError that names the option which is wrong. */
export function parseBundleExport(options: BundleExport, name = 'options'): ParsedExport {
  checkOptions(options, KEYS, name);
  const { source, licence } = options;
  for (const [key, value] of Object.entries({ source, licence })) {
    if (value !== undefined && typeof value !== 'string') {
      throw expected('a string', `${name}.${key}`, value);
    }
  }
  return {
    dtype: oneOf(options.dtype ?? 'float32', ['float32', 'bfloat16'], `${name}.dtype`),
    movingAverage: booleanValue(options.movingAverage ?? true, `${name}.movingAverage`),
    trainable: booleanValue(options.trainable ?? false, `${name}.trainable`),
    source,
    licence,
  };
}

/** Options completed, and the manifest as text with 64 zeros where the hash will be. */
export function trainedManifest(
  manifest: Manifest,
  options: BundleExport,
  facts: Facts,
): Omit<ParsedExport, 'source' | 'licence'> & { readonly manifest: string } {
  const { dtype, movingAverage, trainable, ...about } = parseBundleExport(options);
  const source = about.source ?? `trained from ${basename(facts.begunWith)}`;
  const licence = about.licence ?? manifest.weights.licence;
  const { training, ...rest } = manifest;
  const next: Manifest = {
    ...rest,
    trainingClasses: facts.classes ?? manifest.trainingClasses,
    weights: { kind: 'trained', source, licence, sha256: '0'.repeat(64), dtype },
    torchVersion: facts.torchVersion,
    createdBy: `lexiseg ${packageVersion()}`,
    ...(trainable && training !== undefined ? { training } : {}),
  };
  return { dtype, movingAverage, manifest: JSON.stringify(next, null, 1), trainable };
}

function packageVersion(): string {
  const file = readFileSync(join(packageFolder, 'package.json'), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}
