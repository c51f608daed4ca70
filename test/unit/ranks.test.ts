/** What each of several processes on a machine takes of it. */
import { describe, expect, it } from 'vitest';
import { deviceOfRank, parseDistributed } from '../../lib/training/environment.js';

const fourth = parseDistributed(true, {
  RANK: '11',
  WORLD_SIZE: '16',
  LOCAL_RANK: '3',
  LOCAL_WORLD_SIZE: '8',
  MASTER_ADDR: 'first',
  MASTER_PORT: '29500',
});

describe('the device of a process', () => {
  it.each([
    ['cuda', 'cuda:3'],
    ['auto', 'auto:3'],
    ['cuda:1', 'cuda:1'],
    ['cpu', 'cpu'],
  ])('that asks for %s is %s as the fourth of its machine', (asked, own) => {
    expect(deviceOfRank(asked, fourth)).toBe(own);
    expect(deviceOfRank(asked, undefined)).toBe(asked);
  });
});
