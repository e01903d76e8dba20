import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { avgPool1d, avgPool2d, maxPool1d, maxPool2d } from './pooling.ts';

const row = exactly('f32', [1, 1, 5], [1, -3, 2, 5, 4]);
const below = exactly('f32', [1, 1, 3], [-1, -2, -3]);

export const poolingCases: readonly Case[] = [
  { name: 'maxPool1d', inputs: [row], f: (x) => maxPool1d(x, 2), expected: [1, 5] },
  { name: 'maxPool1d in single steps', inputs: [row], f: (x) => maxPool1d(x, 3, { stride: 1 }), expected: [2, 5, 5] },
  {
    name: 'maxPool1d does not count what is around',
    inputs: [below],
    f: (x) => maxPool1d(x, 2, { padding: 1 }),
    expected: [-1, -2],
  },
  {
    name: 'maxPool1d with distances',
    inputs: [row],
    f: (x) => maxPool1d(x, 2, { dilation: 2, stride: 1 }),
    expected: [2, 5, 4],
  },
  { name: 'maxPool1d f16', inputs: [halves([2, 2, 6])], f: (x) => maxPool1d(x, 3) },
  { name: 'maxPool2d', inputs: [floats([2, 3, 4, 6])], f: (x) => maxPool2d(x, 2) },
  {
    name: 'maxPool2d of a pair',
    inputs: [floats([1, 2, 5, 4])],
    f: (x) => maxPool2d(x, [3, 2], { stride: [2, 1], padding: [1, 0] }),
  },
  { name: 'avgPool1d', inputs: [row], f: (x) => avgPool1d(x, 2), expected: [-1, 3.5] },
  {
    name: 'avgPool1d counts what is around as zeros',
    inputs: [below],
    f: (x) => avgPool1d(x, 2, { padding: 1 }),
    expected: [-0.5, -2.5],
  },
  {
    name: 'avgPool1d without what is around',
    inputs: [below],
    f: (x) => avgPool1d(x, 2, { padding: 1, countIncludePad: false }),
    expected: [-1, -2.5],
  },
  { name: 'avgPool1d f16', inputs: [halves([2, 2, 6])], f: (x) => avgPool1d(x, 3) },
  { name: 'avgPool2d', inputs: [floats([2, 3, 4, 6])], f: (x) => avgPool2d(x, 2) },
  { name: 'avgPool2d of a pair', inputs: [floats([1, 2, 5, 4])], f: (x) => avgPool2d(x, [3, 2], { stride: 1 }) },
];
