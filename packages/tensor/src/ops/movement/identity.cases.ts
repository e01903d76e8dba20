import { booleans, type Case, floats, halves } from '../../../../../test-support/cases.ts';
import { identity, stopGradient } from './identity.ts';

export const identityCases: readonly Case[] = [
  { name: 'identity', inputs: [floats([2, 3])], f: (x) => identity(x) },
  { name: 'identity f16', inputs: [halves([3])], f: (x) => identity(x) },
  { name: 'identity bool', inputs: [booleans([3])], f: (x) => identity(x) },
  { name: 'identity among others', inputs: [floats([3])], f: (x) => identity(x.mul(x)).add(identity(x)) },
  { name: 'stopGradient', inputs: [floats([3])], f: (x) => stopGradient(x).add(1), gradient: false },
];
