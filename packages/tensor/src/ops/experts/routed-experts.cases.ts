import { type Case, floats } from '../../../../../test-support/cases.ts';
import { clampedGate, routedExperts } from './routed-experts.ts';
import { routeTokens } from './routing.ts';

export const routedExpertsCases: readonly Case[] = [
  {
    name: 'routedExperts',
    inputs: [floats([3, 4]), floats([3, 3]), floats([3, 2, 4]), floats([3, 2, 4], -1, 1, 1), floats([3, 4, 2])],
    f: (x, logits, gate, up, down) => routedExperts(x, routeTokens(logits, { count: 2 }), { gate, up, down }),
  },
  {
    name: 'clampedGate',
    inputs: [floats([2, 3], -9, 9), floats([2, 3], -9, 9, 1)],
    f: (gate, up) => clampedGate()(gate, up),
    expected: (gate, up) =>
      gate.map((value, i) => {
        const below = Math.min(value, 7);
        return (Math.min(Math.max(up[i]!, -7), 7) + 1) * (below / (1 + Math.exp(-1.702 * below)));
      }),
  },
];
