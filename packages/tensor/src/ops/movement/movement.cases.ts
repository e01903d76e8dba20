import { booleans, type Case, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { expand, flatten, permute, reshape, transpose } from './movement.ts';

export const movementCases: readonly Case[] = [
  { name: 'reshape', inputs: [floats([2, 6])], f: (x) => reshape(x, [3, 4]) },
  { name: 'reshape with an open size', inputs: [floats([2, 3, 4])], f: (x) => reshape(x, [2, -1]) },
  { name: 'reshape to a scalar', inputs: [floats([1, 1])], f: (x) => reshape(x, []) },
  { name: 'reshape of nothing', inputs: [floats([0, 4])], f: (x) => reshape(x, [2, 0, 3]) },
  { name: 'reshape i32', inputs: [integers([4], -9, 9)], f: (x) => reshape(x, [2, 1, 2]) },
  { name: 'reshape bool', inputs: [booleans([4])], f: (x) => reshape(x, [2, 2]) },
  { name: 'flatten', inputs: [floats([2, 3])], f: flatten },
  { name: 'flatten f16', inputs: [halves([2, 3])], f: flatten },
  { name: 'permute', inputs: [floats([2, 3, 4])], f: (x) => permute(x, [2, 0, 1]) },
  { name: 'permute with negative axes', inputs: [floats([2, 1, 3])], f: (x) => permute(x, [-1, -2, 0]) },
  { name: 'permute f16', inputs: [halves([3, 5])], f: (x) => permute(x, [1, 0]) },
  { name: 'permute u32', inputs: [integers([3, 2], 0, 9, 'u32')], f: (x) => permute(x, [1, 0]) },
  { name: 'permute bool', inputs: [booleans([3, 2])], f: (x) => permute(x, [1, 0]) },
  { name: 'transpose', inputs: [floats([2, 3, 4])], f: (x) => transpose(x) },
  { name: 'transpose of named axes', inputs: [floats([2, 3, 4])], f: (x) => transpose(x, 0, -1) },
  { name: 'expand', inputs: [floats([3, 1])], f: (x) => expand(x, [2, 3, 4]) },
  { name: 'expand of a scalar', inputs: [floats([])], f: (x) => expand(x, [2, 2]) },
  { name: 'expand to nothing', inputs: [floats([1, 3])], f: (x) => expand(x, [0, 3]) },
  { name: 'expand i32', inputs: [integers([2, 1], -9, 9)], f: (x) => expand(x, [2, 3]) },
  { name: 'expand u32', inputs: [integers([1], 0, 9, 'u32')], f: (x) => expand(x, [3]) },
  { name: 'expand bool', inputs: [booleans([2, 1])], f: (x) => expand(x, [2, 3]) },
  { name: 'expand f16', inputs: [halves([2, 1])], f: (x) => expand(x, [2, 3]) },
];
