import { expect, test } from 'vitest';
import {
  kaimingNormal,
  kaimingUniform,
  normalValues,
  truncatedNormalValues,
  uniformValues,
  xavierNormal,
  xavierUniform,
} from '../nn.ts';

function momentsOf(values: Float32Array) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return {
    mean,
    std: Math.sqrt(variance),
    largest: values.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  };
}

const shape = [200, 50];
/** Bounds and deviations by the papers' formulas. */
test.each([
  ['uniformValues', uniformValues(shape, { seed: 1, low: -2, high: 2 }), 4 / Math.sqrt(12), 2],
  ['normalValues', normalValues(shape, { seed: 1, mean: 0, std: 0.5 }), 0.5, Infinity],
  ['truncatedNormalValues', truncatedNormalValues(shape, { seed: 1, std: 0.5 }), 0.5 * 0.8796, 1],
  ['kaimingUniform', kaimingUniform(shape, { seed: 1 }), Math.sqrt(2 / 50), Math.sqrt(6 / 50)],
  [
    'kaimingNormal',
    kaimingNormal(shape, { seed: 1, mode: 'fanOut', nonlinearity: 'linear' }),
    Math.sqrt(1 / 200),
    Infinity,
  ],
  ['xavierUniform', xavierUniform(shape, { seed: 1 }), Math.sqrt(2 / 250), Math.sqrt(6 / 250)],
  ['xavierNormal', xavierNormal(shape, { seed: 1, gain: 2 }), 2 * Math.sqrt(2 / 250), Infinity],
])('%s has its mean, deviation and bounds', (_, values, std, bound) => {
  const found = momentsOf(values);
  expect(values.length).toBe(10_000);
  expect(Math.abs(found.mean)).toBeLessThan(0.04 * std);
  expect(found.std / std).toBeGreaterThan(0.97);
  expect(found.std / std).toBeLessThan(1.03);
  expect(found.largest).toBeLessThanOrEqual(bound * (1 + 1e-6));
});

test('a window counts as inputs, and values are those of the seed and the place', () => {
  expect(momentsOf(kaimingUniform([400, 3, 3, 3], { seed: 2 })).largest).toBeLessThanOrEqual(Math.sqrt(6 / 27));
  const [a, again, other] = [1, 1, 2].map((seed) => normalValues([4], { seed }));
  expect(a).toEqual(again);
  expect(a).not.toEqual(other);
  expect(normalValues([2], { seed: 1 })).toEqual(a!.slice(0, 2));
});

test('mistakes are named', () => {
  expect(() => kaimingUniform([3], { seed: 1 })).toThrow('kaimingUniform: takes the shape of a weight');
  expect(() => kaimingUniform([3, 3], { seed: 1, gain: 2 } as never)).toThrow(
    'has no option gain; its options are seed',
  );
  expect(() => normalValues([3], {} as never)).toThrow(
    'normalValues: seed must be a whole number from 0, got undefined',
  );
  expect(() => xavierNormal(5 as never, { seed: 1 })).toThrow('xavierNormal: takes a shape, got the number 5');
  expect(() => uniformValues([3], { seed: 1, low: 2, high: 1 })).toThrow('low must be at most high');
});
