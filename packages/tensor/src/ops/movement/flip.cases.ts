import { booleans, type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { flip } from './flip.ts';

export const flipCases: readonly Case[] = [
  { name: 'flip', inputs: [floats([3, 4])], f: (x) => flip(x) },
  { name: 'flip of one axis', inputs: [floats([2, 3, 2])], f: (x) => flip(x, 1) },
  { name: 'flip of nothing', inputs: [floats([0, 3])], f: (x) => flip(x, 0), gradient: false },
  { name: 'flip i32', inputs: [integers([5], 0, 9)], f: (x) => flip(x, 0) },
  { name: 'flip u32', inputs: [integers([5], 0, 9, 'u32')], f: (x) => flip(x, 0) },
  { name: 'flip bool', inputs: [booleans([5])], f: (x) => flip(x, 0) },
  { name: 'flip f16', inputs: [halves([4])], f: (x) => flip(x, 0) },
  {
    name: 'flip by hand',
    inputs: [exactly('f32', [2, 2], [1, 2, 3, 4])],
    f: (x) => flip(x, 0),
    expected: [3, 4, 1, 2],
  },
];
