import { type Case, exactly, integers } from '../../../../../test-support/cases.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { bitAnd, bitOr, bitXor, shiftLeft, shiftRight } from './bitwise.ts';

const words = exactly('u32', [5], [0, 1, 0xdeadbeef, 0x80000000, 0xffffffff]);
const others = exactly('u32', [5], [7, 0xffffffff, 0x0f0f0f0f, 0x80000001, 0x12345678]);

const logical = (name: string, f: (a: Tensor, b: Tensor) => Tensor): Case[] => [
  { name: `${name} u32`, inputs: [words, others], f },
  { name: `${name} i32`, inputs: [integers([6], -99, 99), integers([6], -99, 99, 'i32', 1)], f },
  { name: `${name} broadcasts`, inputs: [integers([3, 1], 0, 99, 'u32'), integers([4], 0, 99, 'u32')], f },
];

export const bitwiseCases: readonly Case[] = [
  ...logical('bitAnd', bitAnd),
  ...logical('bitOr', bitOr),
  ...logical('bitXor', bitXor),
  { name: 'shiftLeft', inputs: [words], f: (x) => shiftLeft(x, 13) },
  { name: 'shiftLeft by tensors', inputs: [words, exactly('u32', [5], [0, 31, 4, 1, 33])], f: shiftLeft },
  { name: 'shiftRight', inputs: [words], f: (x) => shiftRight(x, 9) },
  { name: 'shiftRight by tensors', inputs: [words, exactly('u32', [5], [0, 31, 4, 1, 33])], f: shiftRight },
  { name: 'shiftRight by a whole word counts modulo 32', inputs: [words], f: (x) => shiftRight(x, 32) },
];
