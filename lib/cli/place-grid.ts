/** How finely a bundle that scores places looks, and how many tokens that takes. */
import type { Manifest } from '../manifest.js';

/**
 * Rows of `inspect`: the grid of places on a square image of the usual edge, and the grid that the
 * same patches make side by side. None of a bundle that does not say how its patches lie.
 */
export function placeGridFacts({ methods, architecture, image }: Manifest): [string, string][] {
  if (!methods.includes('segment_dense')) return [];
  const stride = sizeIn(fieldOf(architecture.dense, 'stride'));
  const patch = sizeIn(fieldOf(fieldOf(architecture.clip, 'imageTower'), 'patch'));
  const { shortestEdge: edge } = image.sizeRule;
  const padded = Math.ceil(edge / image.divisor) * image.divisor;
  if (stride === undefined || patch === undefined || edge < patch) return [];
  const grid = (step: number): string => {
    const side = 1 + Math.floor((padded - patch) / step);
    return `stride ${step}: ${side} × ${side} = ${side ** 2} tokens`;
  };
  return [
    ['grid', `${grid(stride)}, for ${edge} × ${edge} pixels`],
    ['plain grid', grid(patch)],
  ];
}

/** The architecture is for people: nothing has checked what it holds. */
const fieldOf = (value: unknown, key: string): unknown =>
  value !== null && typeof value === 'object' ? (value as Record<string, unknown>)[key] : undefined;

const sizeIn = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : undefined;
