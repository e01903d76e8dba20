import { expect, test } from 'vitest';
import { heavyHitters, lastTokens, snapKv } from '../index.ts';

const mass = [0.1, 5, 0, 3, 0, 0, 9, 0, 1, 1];

test('policies keep what they say, ascending', () => {
  expect(lastTokens({ recent: 2, keepFirst: 1 }).choose(mass)).toEqual([0, 8, 9]);
  expect(heavyHitters({ budget: 5, recent: 2 }).choose(mass)).toEqual([1, 3, 6, 8, 9]);
  expect(heavyHitters({ budget: 5, recent: 2, keepFirst: 1 }).choose(mass)).toEqual([0, 1, 6, 8, 9]);
  // of equals the earlier ones; a budget below what is kept in any case keeps that
  expect(heavyHitters({ budget: 3, recent: 1 }).choose([1, 1, 1, 1])).toEqual([0, 1, 3]);
  expect(heavyHitters({ budget: 1, recent: 3 }).choose(mass)).toEqual([7, 8, 9]);
  // neighbours of what is attended to come with it
  expect(snapKv({ budget: 5, recent: 2, pool: 3 }).choose(mass)).toEqual([5, 6, 7, 8, 9]);
  expect(snapKv({ budget: 5, recent: 2, pool: 1 }).choose(mass)).toEqual([1, 3, 6, 8, 9]);
  for (const policy of [
    lastTokens({ recent: 20 }),
    heavyHitters({ budget: 20, recent: 0 }),
    snapKv({ budget: 20, recent: 1 }),
  ])
    expect(policy.choose(mass)).toEqual(mass.map((_, i) => i));
  expect(heavyHitters({ budget: 4, recent: 1 }).choose([])).toEqual([]);
});

test('counts that are none are refused', () => {
  expect(() => heavyHitters({ budget: -1, recent: 0 })).toThrow(/budget must be a whole number from 0, got -1/);
  expect(() => lastTokens({ recent: 1.5 })).toThrow(/recent/);
  for (const policy of [
    snapKv({ budget: 1, recent: 1 }),
    heavyHitters({ budget: 1, recent: 1 }),
    lastTokens({ recent: 1 }),
  ])
    expect(() => policy.choose(undefined as never)).toThrow(/choose: mass must be a list of numbers/);
  expect(() => snapKv({ budget: 1, recent: 1, pool: 4 })).toThrow(/pool must be odd, got 4/);
});
