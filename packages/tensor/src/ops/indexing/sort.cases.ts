import { type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { argsort, sort, topK } from './sort.ts';

const ties = exactly('f32', [2, 6], [3, 1, 3, 2, 1, 3, 0, 0, 0, -1, 5, 5]);

export const sortCases: readonly Case[] = [
  { name: 'argsort', inputs: [exactly('f32', [4], [3, 1, 2, 1])], f: (x) => argsort(x), expected: [1, 3, 2, 0] },
  {
    name: 'argsort descending',
    inputs: [exactly('i32', [2, 3], [1, 3, 2, 9, 7, 8])],
    f: (x) => argsort(x, 1, { descending: true }),
    expected: [1, 2, 0, 0, 2, 1],
  },
  { name: 'sort', inputs: [floats([3, 5])], f: (x) => sort(x).values },
  { name: 'sort descending', inputs: [floats([3, 5])], f: (x) => sort(x, 1, { descending: true }).values },
  { name: 'sort along the first axis', inputs: [floats([4, 3])], f: (x) => sort(x, 0).values },
  { name: 'sort in the middle', inputs: [floats([2, 4, 3])], f: (x) => sort(x, 1).values },
  { name: 'sort gives places', inputs: [floats([2, 4, 3])], f: (x) => sort(x, 1).indices },
  { name: 'sort keeps the order of equals', inputs: [ties], f: (x) => sort(x).indices },
  {
    name: 'sort keeps the order of equals descending',
    inputs: [ties],
    f: (x) => sort(x, -1, { descending: true }).indices,
  },
  {
    name: 'sort of infinities',
    inputs: [exactly('f32', [4], [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1])],
    f: (x) => sort(x).values,
    gradient: false,
  },
  { name: 'sort keeps the order of zeros', inputs: [exactly('f32', [4], [0, -0, 0, -0])], f: (x) => sort(x).indices },
  { name: 'sort of a long axis', inputs: [floats([2, 400])], f: (x) => sort(x).values, gradient: false },
  { name: 'sort of several blocks', inputs: [floats([1, 1100])], f: (x) => sort(x).values, gradient: false },
  {
    name: 'sort of several blocks gives places',
    // of two blocks equals are in order already when they are first exchanged
    inputs: [integers([1, 1100, 2], 0, 50)],
    f: (x) => sort(x, 1, { descending: true }).indices,
  },
  { name: 'topK of several blocks', inputs: [floats([2, 1030])], f: (x) => topK(x, 7).indices },
  { name: 'sort i32', inputs: [integers([9], -9, 9)], f: (x) => sort(x).values },
  { name: 'sort u32', inputs: [exactly('u32', [4], [3e9, 5, 4e9, 0])], f: (x) => sort(x).values },
  { name: 'sort f16', inputs: [halves([9])], f: (x) => sort(x).values },
  { name: 'sort without rows', inputs: [floats([0, 3])], f: (x) => sort(x).values, gradient: false },
  { name: 'sort of nothing', inputs: [floats([2, 0])], f: (x) => sort(x).values, gradient: false },
  { name: 'topK', inputs: [floats([3, 7])], f: (x) => topK(x, 2).values },
  { name: 'topK gives places', inputs: [floats([3, 7])], f: (x) => topK(x, 3).indices },
  { name: 'topK of the smallest', inputs: [floats([5, 3])], f: (x) => topK(x, 2, 0, { largest: false }).values },
  { name: 'topK of equals', inputs: [ties], f: (x) => topK(x, 2).indices },
  { name: 'topK f16', inputs: [halves([9])], f: (x) => topK(x, 3).values },
];
