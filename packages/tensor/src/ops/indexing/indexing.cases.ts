import { booleans, type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { indexSelect, maskedFill, scatterAddAlongAxis, takeAlongAxis } from './indexing.ts';

export const indexingCases: readonly Case[] = [
  {
    name: 'takeAlongAxis',
    inputs: [floats([3, 5]), integers([3, 2], 0, 5)],
    f: (x, i) => takeAlongAxis(x, i, 1),
  },
  {
    name: 'takeAlongAxis in the middle',
    inputs: [floats([2, 3, 4]), integers([2, 5, 4], 0, 3)],
    f: (x, i) => takeAlongAxis(x, i, -2),
  },
  {
    name: 'takeAlongAxis broadcasts',
    inputs: [floats([3, 5]), integers([1, 2], 0, 5)],
    f: (x, i) => takeAlongAxis(x, i, 1),
  },
  {
    name: 'takeAlongAxis outside goes to the nearest',
    inputs: [floats([1, 3]), exactly('i32', [1, 3], [-4, 1, 9])],
    f: (x, i) => takeAlongAxis(x, i, 1),
  },
  { name: 'takeAlongAxis f16', inputs: [halves([4]), integers([6], 0, 4)], f: (x, i) => takeAlongAxis(x, i, 0) },
  {
    name: 'takeAlongAxis i32',
    inputs: [integers([4], -9, 9), integers([6], 0, 4)],
    f: (x, i) => takeAlongAxis(x, i, 0),
  },
  {
    name: 'takeAlongAxis u32',
    inputs: [integers([4], 0, 9, 'u32'), integers([6], 0, 4)],
    f: (x, i) => takeAlongAxis(x, i, 0),
  },
  { name: 'takeAlongAxis bool', inputs: [booleans([4]), integers([6], 0, 4)], f: (x, i) => takeAlongAxis(x, i, 0) },
  {
    name: 'scatterAddAlongAxis',
    inputs: [integers([3, 5], 0, 4), floats([3, 5])],
    f: (i, u) => scatterAddAlongAxis(4, i, u, 1),
  },
  {
    name: 'scatterAddAlongAxis along the first axis',
    inputs: [exactly('i32', [3, 2], [0, 7, 1, -1, 1, 0]), floats([3, 2])],
    f: (i, u) => scatterAddAlongAxis(2, i, u, 0),
  },
  {
    name: 'scatterAddAlongAxis f16',
    inputs: [integers([2, 5], 0, 3), halves([2, 5])],
    f: (i, u) => scatterAddAlongAxis(3, i, u, 1),
  },
  {
    name: 'scatterAddAlongAxis i32',
    inputs: [integers([5], 0, 3), integers([5], -9, 9)],
    f: (i, u) => scatterAddAlongAxis(3, i, u, 0),
  },
  {
    name: 'scatterAddAlongAxis u32',
    inputs: [integers([5], 0, 3), integers([5], 0, 9, 'u32')],
    f: (i, u) => scatterAddAlongAxis(3, i, u, 0),
  },
  {
    name: 'scatterAddAlongAxis of nothing',
    inputs: [integers([2, 0], 0, 3), floats([2, 0])],
    f: (i, u) => scatterAddAlongAxis(3, i, u, 1),
    gradient: false,
  },
  {
    name: 'indexSelect',
    inputs: [floats([2, 4]), integers([3], 0, 4)],
    f: (x, i) => indexSelect(x, i, 1),
  },
  { name: 'maskedFill', inputs: [floats([3, 4]), booleans([4])], f: (x, m) => maskedFill(x, m, -1.5) },
  { name: 'maskedFill i32', inputs: [integers([4], 0, 9), booleans([4])], f: (x, m) => maskedFill(x, m, 7) },
  { name: 'maskedFill f16', inputs: [halves([4]), booleans([1])], f: (x, m) => maskedFill(x, m, 0.5) },
];
