/** Scenes that the repository's own tool draws, for tests that need data. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { root, runNode } from './command.js';

/** Draws `count` scenes into a folder, in COCO's panoptic layout. */
export async function drawScenes(folder: string, count: number, seed: number): Promise<void> {
  const tool = join(root, 'tools/scenes/main.mjs');
  const size = ['--count', String(count), '--seed', String(seed)];
  const { status, stderr } = await runNode([tool, 'scenes', folder, ...size]);
  expect({ status, stderr }).toMatchObject({ status: 0 });
}
