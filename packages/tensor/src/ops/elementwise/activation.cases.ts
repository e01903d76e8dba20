import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { gelu, relu, silu, softplus } from './activation.ts';

const far = exactly('f32', [5], [-200, -20, 0, 20, 200]);

export const activationCases: readonly Case[] = [
  { name: 'relu', inputs: [floats([3, 5])], f: relu },
  { name: 'relu at 0', inputs: [exactly('f32', [3], [-1, 0, 2])], f: relu, gradient: false },
  { name: 'relu f16', inputs: [halves([7])], f: relu },
  { name: 'gelu', inputs: [floats([3, 5], -4, 4)], f: (x) => gelu(x) },
  { name: 'gelu far out', inputs: [far], f: (x) => gelu(x), gradient: false },
  { name: 'gelu f16', inputs: [halves([7])], f: (x) => gelu(x) },
  { name: 'gelu by tanh', inputs: [floats([3, 5], -4, 4)], f: (x) => gelu(x, { approximate: 'tanh' }) },
  { name: 'gelu by tanh f16', inputs: [halves([7])], f: (x) => gelu(x, { approximate: 'tanh' }) },
  { name: 'silu', inputs: [floats([2, 5])], f: silu },
  { name: 'silu far out', inputs: [far], f: silu, gradient: false },
  { name: 'silu f16', inputs: [halves([7])], f: silu },
  { name: 'softplus', inputs: [floats([3, 5], -6, 6)], f: softplus },
  { name: 'softplus far out', inputs: [far], f: softplus, gradient: false },
  { name: 'softplus f16', inputs: [halves([7])], f: softplus },
];
