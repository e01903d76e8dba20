import type { Case } from '../../../../../test-support/cases.ts';
import { arange, full, sizeScalar } from './creation.ts';

export const creationCases: readonly Case[] = [
  { name: 'full f32', create: (device) => full(device, [2, 3], -1.25) },
  { name: 'full f16', create: (device) => full(device, [3], 0.5, 'f16') },
  { name: 'full i32', create: (device) => full(device, [2], -7, 'i32') },
  { name: 'full u32', create: (device) => full(device, [2], 4e9, 'u32') },
  { name: 'full bool', create: (device) => full(device, [4], 1, 'bool') },
  { name: 'full of a scalar', create: (device) => full(device, [], 3) },
  { name: 'full of nothing', create: (device) => full(device, [0, 2], 3) },
  { name: 'full of -Infinity', create: (device) => full(device, [2], Number.NEGATIVE_INFINITY) },
  { name: 'full of NaN', create: (device) => full(device, [2], Number.NaN) },
  { name: 'full of a number between 2^63 and 1e21', create: (device) => full(device, [2], 1e20) },
  { name: 'full of minus 2^64', create: (device) => full(device, [2], -(2 ** 64)) },
  { name: 'full of a number below the normal ones', create: (device) => full(device, [2], 1e-30) },
  { name: 'arange i32', create: (device) => arange(device, 5) },
  { name: 'arange f32', create: (device) => arange(device, 4, 'f32') },
  { name: 'arange u32', create: (device) => arange(device, 3, 'u32') },
  { name: 'arange f16', create: (device) => arange(device, 3, 'f16') },
  { name: 'arange of nothing', create: (device) => arange(device, 0) },
  { name: 'sizeScalar of a number', create: (device) => sizeScalar(device, 12) },
];
