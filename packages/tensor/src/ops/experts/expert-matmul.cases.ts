import { type Case, exactly, floats, integers } from '../../../../../test-support/cases.ts';
import { expertMatmul } from './expert-matmul.ts';

const product = (x: readonly number[], w: readonly number[], e: readonly number[], K: number, M: number, S: number) =>
  e.flatMap((expert, row) =>
    Array.from({ length: M }, (_, m) => {
      const from = x.length === e.length * K ? row : Math.floor(row / S);
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[from * K + k]! * w[(expert * M + m) * K + k]!;
      return sum;
    }),
  );

export const expertMatmulCases: readonly Case[] = [
  {
    name: 'expertMatmul of one row for all of its experts',
    inputs: [floats([3, 8]), floats([4, 5, 8]), exactly('i32', [3, 2], [2, 0, 2, 3, 0, 2])],
    f: (x, w, e) => expertMatmul(x, w, e),
    expected: (x, w, e) => product(x, w, e, 8, 5, 2),
  },
  {
    name: 'expertMatmul of a row for each expert, of sizes that are no fours',
    inputs: [floats([3, 2, 5]), floats([4, 3, 5]), integers([3, 2], 0, 4)],
    f: (x, w, e) => expertMatmul(x, w, e),
    expected: (x, w, e) => product(x, w, e, 5, 3, 2),
  },
  {
    name: 'expertMatmul of many rows, one for all of their experts, of which one has none',
    inputs: [
      floats([33, 20]),
      floats([4, 70, 20]),
      exactly(
        'i32',
        [33, 2],
        Array.from({ length: 66 }, (_, i) => [0, 1, 3, 0, 1][i % 5]!),
      ),
    ],
    f: (x, w, e) => expertMatmul(x, w, e),
    expected: (x, w, e) => product(x, w, e, 20, 70, 2),
    gradient: false,
  },
  {
    name: 'expertMatmul of many rows with one expert each, of sizes that are no fours',
    inputs: [floats([50, 1, 18]), floats([1, 131, 18]), exactly('i32', [50, 1], new Array<number>(50).fill(0))],
    f: (x, w, e) => expertMatmul(x, w, e),
    expected: (x, w, e) => product(x, w, e, 18, 131, 1),
    gradient: false,
  },
];
