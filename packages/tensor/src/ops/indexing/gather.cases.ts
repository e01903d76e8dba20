import { booleans, type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { embedding, scatterAdd, take } from './gather.ts';

const outside = exactly('i32', [4], [-3, 0, 2, 99]);

export const gatherCases: readonly Case[] = [
  { name: 'take rows', inputs: [floats([5, 3]), integers([4], 0, 5)], f: (x, i) => take(x, i) },
  { name: 'take along the last axis', inputs: [floats([2, 5]), integers([3], 0, 5)], f: (x, i) => take(x, i, -1) },
  {
    name: 'take with indices of two axes',
    inputs: [floats([2, 4, 3]), integers([2, 3], 0, 4)],
    f: (x, i) => take(x, i, 1),
  },
  { name: 'take with one index', inputs: [floats([4, 3]), exactly('i32', [], [2])], f: (x, i) => take(x, i) },
  {
    name: 'take with an index axis of one',
    inputs: [floats([4, 3]), exactly('i32', [1], [2])],
    f: (x, i) => take(x, i),
  },
  { name: 'take outside goes to the nearest', inputs: [floats([3, 2]), outside], f: (x, i) => take(x, i) },
  { name: 'take no rows', inputs: [floats([3, 2]), integers([0], 0, 1)], f: (x, i) => take(x, i) },
  { name: 'take f16', inputs: [halves([4, 3]), integers([5], 0, 4)], f: (x, i) => take(x, i) },
  { name: 'take i32', inputs: [integers([4, 3], -9, 9), integers([5], 0, 4)], f: (x, i) => take(x, i) },
  { name: 'take u32', inputs: [integers([4], 0, 9, 'u32'), integers([5], 0, 4)], f: (x, i) => take(x, i) },
  { name: 'take bool', inputs: [booleans([4]), integers([5], 0, 4)], f: (x, i) => take(x, i) },
  { name: 'scatterAdd', inputs: [integers([6], 0, 4), floats([6, 3])], f: (i, u) => scatterAdd(4, i, u) },
  {
    name: 'scatterAdd to rows of several axes',
    inputs: [integers([3], 0, 2), floats([3, 2, 2])],
    f: (i, u) => scatterAdd(2, i, u),
  },
  { name: 'scatterAdd of scalars', inputs: [integers([7], 0, 3), floats([7])], f: (i, u) => scatterAdd(3, i, u) },
  {
    name: 'scatterAdd outside goes to the nearest',
    inputs: [outside, floats([4, 2])],
    f: (i, u) => scatterAdd(3, i, u),
  },
  {
    name: 'scatterAdd of many to few, in fours',
    inputs: [integers([1100], -1, 7), floats([1100, 8])],
    f: (i, u) => scatterAdd(6, i, u),
    gradient: false,
  },
  {
    name: 'scatterAdd i32',
    inputs: [integers([6], 0, 3), integers([6, 4], -9, 9)],
    f: (i, u) => scatterAdd(4, i, u),
  },
  { name: 'scatterAdd of nothing', inputs: [integers([0], 0, 1), floats([0, 2])], f: (i, u) => scatterAdd(3, i, u) },
  { name: 'scatterAdd f16', inputs: [integers([5], 0, 3), halves([5, 2])], f: (i, u) => scatterAdd(3, i, u) },
  { name: 'scatterAdd i32', inputs: [integers([5], 0, 3), integers([5], -9, 9)], f: (i, u) => scatterAdd(3, i, u) },
  {
    name: 'scatterAdd u32',
    inputs: [integers([5], 0, 3), integers([5], 0, 9, 'u32')],
    f: (i, u) => scatterAdd(3, i, u),
  },
  { name: 'embedding', inputs: [floats([6, 4]), integers([2, 3], 0, 6)], f: embedding },
];
