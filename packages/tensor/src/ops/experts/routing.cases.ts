import { type Case, floats } from '../../../../../test-support/cases.ts';
import { routeTokens } from './routing.ts';

export const routingCases: readonly Case[] = [
  { name: 'routeTokens weights', inputs: [floats([4, 6])], f: (x) => routeTokens(x, { count: 2 }).weights },
  {
    name: 'routeTokens in groups',
    inputs: [floats([5, 8]), floats([8], -0.2, 0.2)],
    f: (x, correction) =>
      routeTokens(x, { count: 2, scores: 'sigmoid', scale: 1.5, correction, groups: { count: 4, chosen: 2 } }).weights,
  },
];
