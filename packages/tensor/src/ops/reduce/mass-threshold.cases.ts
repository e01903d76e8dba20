import { type Case, exactly, floats, integers } from '../../../../../test-support/cases.ts';
import { full } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { softmax } from '../rows/softmax.ts';
import { massThreshold } from './mass-threshold.ts';

/** The k-th largest, by weights of 1. */
const kth = (k: number, sorted: readonly number[][]) => sorted.map((row) => [...row].sort((a, b) => b - a)[k - 1]!);
const rowsOf = (values: readonly number[], width: number) =>
  Array.from({ length: values.length / width }, (_, r) => values.slice(r * width, (r + 1) * width));
const ones = (shape: readonly number[]) => exactly('f32', shape, new Array(shape.reduce((a, b) => a * b)).fill(1));
const masses = (...values: number[]) => exactly('f32', [values.length], values);

const special = [-Infinity, 0, -0, 5, 5, 3.4e38, -3.4e38, -Infinity, 1e-30, -1e-30, 2, -7];

export const massThresholdCases: readonly Case[] = [
  {
    name: 'massThreshold',
    inputs: [floats([3, 16]), floats([3, 16], 0, 1, 5), masses(0.7, 3, 5)],
    f: massThreshold,
    gradient: false,
    expected: (values, weights, mass) =>
      rowsOf(values, 16).map((row, r) => {
        const enough = row.filter(
          (y) => row.reduce((sum, x, i) => sum + (x >= y ? weights[16 * r + i]! : 0), 0) >= mass[r]!,
        );
        return Math.max(...enough);
      }),
  },
  {
    name: 'massThreshold of the k-th largest, of an odd width',
    inputs: [floats([2, 2049], -30, 30), ones([2, 2049]), masses(50, 2000)],
    f: massThreshold,
    gradient: false,
    expected: (values) => {
      const rows = rowsOf(values, 2049);
      return [kth(50, rows)[0]!, kth(2000, rows)[1]!];
    },
  },
  {
    name: 'massThreshold of equal, infinite and tiny values',
    inputs: [
      exactly('f32', [9, 12], new Array(9).fill(special).flat()),
      ones([9, 12]),
      masses(1, 2, 3, 4, 5, 7, 9, 11, 12.5),
    ],
    f: massThreshold,
    gradient: false,
    expected: [3.4e38, 5, 5, 2, Math.fround(1e-30), 0, -7, -Infinity, -Infinity],
  },
  {
    name: 'massThreshold where all are equal, -Infinity or one value, and of no mass',
    inputs: [exactly('f32', [4, 1], [2, -Infinity, -3, 7]), ones([4, 1]), masses(1, 1, 2, 0)],
    f: massThreshold,
    gradient: false,
    expected: [2, -Infinity, -3, 7],
  },
  {
    name: 'massThreshold of many equal values',
    inputs: [integers([2, 1500], -3, 4), masses(600, 1499)],
    f: (x, m) => massThreshold(cast(x, 'f32'), full(x.device, x.shape, 1), m),
    gradient: false,
    expected: (values) => {
      const rows = rowsOf(values, 1500);
      return [kth(600, rows)[0]!, kth(1499, rows)[1]!];
    },
  },
  {
    name: 'massThreshold of probabilities',
    inputs: [floats([4, 1000], -4, 4), masses(0.1, 0.5, 0.9, 0.999)],
    f: (x, m) => massThreshold(x, softmax(x, -1), m),
    gradient: false,
  },
  {
    name: 'massThreshold of three axes',
    inputs: [floats([2, 3, 8]), floats([2, 3, 8], 0, 1, 3), floats([2, 3], 1, 3)],
    f: massThreshold,
    gradient: false,
  },
  {
    name: 'massThreshold of no rows',
    inputs: [floats([0, 8]), floats([0, 8]), floats([0])],
    f: massThreshold,
    gradient: false,
  },
];
