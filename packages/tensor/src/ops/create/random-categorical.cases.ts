import { type Case, exactly, floats, halves } from '../../../../../test-support/cases.ts';
import { randomCategorical } from './random-categorical.ts';

const key = exactly('u32', [2], [7, 9]);
const certain = exactly('f32', [2, 3], [-Infinity, 0, -Infinity, -Infinity, -Infinity, 5]);

export const randomCategoricalCases: readonly Case[] = [
  { name: 'randomCategorical', inputs: [floats([6, 9])], f: (x) => randomCategorical(x, 5) },
  { name: 'randomCategorical of three axes', inputs: [floats([2, 3, 4])], f: (x) => randomCategorical(x, 5) },
  { name: 'randomCategorical of a vector', inputs: [floats([33])], f: (x) => randomCategorical(x, 2 ** 40) },
  { name: 'randomCategorical with a key tensor', inputs: [floats([4, 7]), key], f: randomCategorical },
  { name: 'randomCategorical f16', inputs: [halves([3, 8])], f: (x) => randomCategorical(x, 5) },
  { name: 'randomCategorical of what is certain', inputs: [certain], f: (x) => randomCategorical(x, 5) },
];
