import { booleans, type Case, exactly, floats, halves, integers } from '../../../../../test-support/cases.ts';
import { cast, dequantize } from './cast.ts';

export const castCases: readonly Case[] = [
  { name: 'cast f32 to f16', inputs: [floats([3, 3], -100, 100)], f: (x) => cast(x, 'f16') },
  { name: 'cast f32 to i32 towards zero', inputs: [floats([8], -9, 9)], f: (x) => cast(x, 'i32') },
  { name: 'cast f32 to u32', inputs: [floats([8], 0, 9)], f: (x) => cast(x, 'u32') },
  { name: 'cast f32 to bool', inputs: [exactly('f32', [4], [0, -0.25, 3, -0])], f: (x) => cast(x, 'bool') },
  { name: 'cast f16 to f32', inputs: [halves([5])], f: (x) => cast(x, 'f32') },
  { name: 'cast f16 to i32', inputs: [halves([5], -9, 9)], f: (x) => cast(x, 'i32') },
  { name: 'cast i32 to f32', inputs: [integers([2, 3], -1000, 1000)], f: (x) => cast(x, 'f32') },
  { name: 'cast i32 to f16', inputs: [integers([5], -1000, 1000)], f: (x) => cast(x, 'f16') },
  { name: 'cast i32 to bool', inputs: [integers([6], -1, 2)], f: (x) => cast(x, 'bool') },
  { name: 'cast u32 to f32', inputs: [exactly('u32', [2], [7, 4e9])], f: (x) => cast(x, 'f32') },
  { name: 'cast bool to f32', inputs: [booleans([5])], f: (x) => cast(x, 'f32') },
  { name: 'cast bool to i32', inputs: [booleans([5])], f: (x) => cast(x, 'i32') },
  { name: 'cast bool to u32', inputs: [booleans([5])], f: (x) => cast(x, 'u32') },
  { name: 'cast f32 to bf16', inputs: [floats([5])], f: (x) => cast(cast(x, 'bf16'), 'f32'), gradient: false },
  {
    name: 'cast to f16 and back rounds to the nearest half, ties to even',
    inputs: [exactly('f32', [9], [1.1, 2049, 2051, 65519, 65520, 1e-7, 3e-8, 2 ** -25, -0.1])],
    f: (x) => cast(cast(x, 'f16'), 'f32'),
    tolerance: 0,
    gradient: false,
  },
  {
    name: 'cast to f16 and back rounds between operations',
    inputs: [floats([40], 1, 2)],
    f: (x) => cast(cast(x.mul(1.5), 'f16'), 'f32').sub(x.mul(1.5)),
    tolerance: 1e-3,
    gradient: false,
  },
  {
    name: 'cast to f16 rounds in front of operations of f16',
    inputs: [exactly('f32', [3], [1.1, 1.2, 1.3])],
    f: (x) => cast(cast(x, 'f16').neg().abs(), 'f32'),
    tolerance: 0,
    gradient: false,
  },
  {
    name: 'cast of a computed f16 to i32 and bool rounds first',
    inputs: [exactly('f16', [3], [30, 1e-4, -30])],
    f: (x) => cast(x.mul(x.mul(0).add(0.1)), 'i32').add(cast(cast(x.mul(1e-4), 'bool'), 'i32')),
  },
  { name: 'dequantize bf16', inputs: [floats([3, 2])], f: (x) => dequantize(cast(x, 'bf16')), gradient: false },
  { name: 'dequantize bf16 to f16', inputs: [floats([5])], f: (x) => dequantize(cast(x, 'bf16'), 'f16') },
  {
    name: 'cast there and back has a gradient',
    inputs: [floats([4])],
    f: (x) => cast(cast(x.mul(2), 'f32'), 'f32').mul(x),
  },
];
