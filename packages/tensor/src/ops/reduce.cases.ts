import { type Case, floats } from '../../../../test-support/cases.ts';
import { reduction, wholeReduction } from '../../../../test-support/reduction-cases.ts';
import { mean, sum } from './reduce.ts';

export const reduceCases: readonly Case[] = [
  ...reduction('sum', sum),
  ...wholeReduction('sum', sum),
  { name: 'sum over an empty axis', inputs: [floats([2, 0])], f: (x) => sum(x, 1) },
  ...reduction('mean', mean),
];
