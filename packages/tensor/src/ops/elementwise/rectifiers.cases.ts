import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { elu, leakyRelu, mish, relu6 } from './rectifiers.ts';

const infinity = Number.POSITIVE_INFINITY;
const ends = exactly('f32', [3], [-infinity, infinity, Number.NaN]);
const some = exactly('f32', [4], [-2, -0.5, 0.5, 8]);
const mishOf = (x: number) => x * Math.tanh(Math.log1p(Math.exp(x)));

export const rectifiersCases: readonly Case[] = [
  { name: 'leakyRelu', inputs: [some], f: (x) => leakyRelu(x), expected: [-0.02, -0.005, 0.5, 8] },
  { name: 'leakyRelu of another slope', inputs: [floats([3, 4])], f: (x) => leakyRelu(x, 0.3) },
  { name: 'leakyRelu f16', inputs: [halves([5])], f: (x) => leakyRelu(x) },
  { name: 'elu', inputs: [some], f: (x) => elu(x), expected: [Math.expm1(-2), Math.expm1(-0.5), 0.5, 8] },
  { name: 'elu of another alpha', inputs: [floats([3, 4])], f: (x) => elu(x, 0.5) },
  { name: 'elu at the ends', inputs: [ends], f: (x) => elu(x), expected: [-1, infinity, Number.NaN], gradient: false },
  { name: 'elu f16', inputs: [halves([5])], f: (x) => elu(x) },
  { name: 'relu6', inputs: [some], f: relu6, expected: [0, 0, 0.5, 6] },
  { name: 'relu6 at the ends', inputs: [ends], f: relu6, expected: [0, 6, Number.NaN], gradient: false },
  { name: 'relu6 f16', inputs: [halves([5], -9, 9)], f: relu6 },
  { name: 'mish', inputs: [some], f: mish, expected: (x) => x.map(mishOf) },
  { name: 'mish at the ends', inputs: [ends], f: mish, expected: [0, infinity, Number.NaN], gradient: false },
  { name: 'mish f16', inputs: [halves([5])], f: mish },
];
