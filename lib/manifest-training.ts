/** What a manifest says of training: the kind of batch, and which parameters train how. */
import { booleanOf, fail, finite, list, record, text, textList } from './manifest-reader.js';

/** Parameters that train in one way. */
export interface ParameterGroup {
  /** Part of the network, e.g. `decoder`; two groups of a part differ in `decayed`. */
  readonly name: string;
  /** Does not train unless a run asks for it. */
  readonly frozen: boolean;
  readonly learningRateMultiplier: number;
  /** Whether weight decay applies. */
  readonly decayed: boolean;
  readonly parameters: readonly string[];
  /** Least and most of every number in it, held after each step. */
  readonly bounds?: readonly [least: number, most: number] | undefined;
}

/** What a bundle with a training loss says about training. */
export interface TrainingInfo {
  /** What a batch holds. */
  readonly batch: 'panoptic' | 'image-text';
  readonly groups: readonly ParameterGroup[];
}

/** The `training` field of an untrusted manifest. */
export function training(value: unknown): TrainingInfo {
  const fields = record(value, 'training');
  const batch = text(fields.batch, 'training.batch');
  if (batch !== 'panoptic' && batch !== 'image-text') {
    fail('training.batch', 'one of panoptic, image-text', batch);
  }
  return { batch, groups: list(fields.groups, 'training.groups', 1_000, parameterGroup) };
}

function parameterGroup(value: unknown, path: string): ParameterGroup {
  const fields = record(value, path);
  return {
    name: text(fields.name, `${path}.name`),
    frozen: booleanOf(fields.frozen, `${path}.frozen`),
    learningRateMultiplier: finite(
      fields.learningRateMultiplier,
      `${path}.learningRateMultiplier`,
      0,
      1e6,
    ),
    decayed: booleanOf(fields.decayed, `${path}.decayed`),
    parameters: textList(fields.parameters, `${path}.parameters`, 100_000),
    ...(fields.bounds !== undefined && { bounds: bounds(fields.bounds, `${path}.bounds`) }),
  };
}

function bounds(value: unknown, path: string): [least: number, most: number] {
  const [least, most, ...more] = list(value, path, 2, (one, at) => finite(one, at, -1e30, 1e30));
  if (least === undefined || most === undefined || more.length > 0 || least > most) {
    fail(path, 'two numbers, the lesser first', value);
  }
  return [least, most];
}
