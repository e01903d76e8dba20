import { type Case, exactly } from '../../../../../test-support/cases.ts';
import { foldKey, randomBits, randomKey, randomNormal, randomUniform } from './random.ts';

const key = exactly('u32', [2], [0xdeadbeef, 0x12345678]);
const salt = exactly('i32', [], [-7]);

export const randomCases: readonly Case[] = [
  { name: 'randomKey', create: (device) => randomKey(device, 2 ** 40 + 5) },
  { name: 'randomBits', create: (device) => randomBits(device, [7, 5], 42) },
  { name: 'randomBits of a scalar', create: (device) => randomBits(device, [], 1) },
  { name: 'randomBits of nothing', create: (device) => randomBits(device, [0, 3], 1) },
  { name: 'randomBits with a key tensor', inputs: [key], f: (k) => randomBits(k.device, [33], k) },
  { name: 'foldKey', inputs: [key], f: (k) => foldKey(k, 3) },
  { name: 'foldKey with a tensor', inputs: [key, salt], f: (k, s) => foldKey(k, s) },
  { name: 'randomUniform', create: (device) => randomUniform(device, [2000], 7) },
  { name: 'randomUniform between limits', create: (device) => randomUniform(device, [50], 7, { low: -3, high: 2 }) },
  { name: 'randomUniform f16', create: (device) => randomUniform(device, [50], 7, { dtype: 'f16' }) },
  {
    name: 'foldKey of a number with a tensor',
    inputs: [salt],
    f: (s) => foldKey(7, s),
  },
  {
    name: 'randomUniform between limits whose distance f32 does not hold',
    create: (device) => randomUniform(device, [40], 7, { low: -3e38, high: 3e38 }),
  },
  { name: 'randomNormal', create: (device) => randomNormal(device, [4000], 9) },
  {
    name: 'randomNormal with mean and deviation',
    create: (device) => randomNormal(device, [50], 9, { mean: 2, deviation: 0.5 }),
  },
  { name: 'randomNormal f16', create: (device) => randomNormal(device, [50], 9, { dtype: 'f16' }) },
];
