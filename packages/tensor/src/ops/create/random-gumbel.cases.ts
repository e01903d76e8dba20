import { type Case, exactly } from '../../../../../test-support/cases.ts';
import { randomGumbel } from './random-gumbel.ts';

const keys = exactly('u32', [3, 2], [7, 9, 0xdeadbeef, 0x12345678, 0, 0]);
const counters = exactly('u32', [3], [0, 4_000_000_000, 2]);

export const randomGumbelCases: readonly Case[] = [
  { name: 'randomGumbel', inputs: [keys, counters], f: (k, c) => randomGumbel(k, c, 700) },
  {
    name: 'randomGumbel of no rows',
    inputs: [exactly('u32', [0, 2], []), exactly('u32', [0], [])],
    f: (k, c) => randomGumbel(k, c, 5),
  },
  { name: 'randomGumbel of nothing', inputs: [keys, counters], f: (k, c) => randomGumbel(k, c, 0) },
];
