import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { routedExpertsCases } from './routed-experts.cases.ts';
import { routedExperts } from './routed-experts.ts';
import { routingCases } from './routing.cases.ts';
import { routeTokens } from './routing.ts';

operations('routing', [...routingCases, ...routedExpertsCases]);

const list = async (x: Tensor) => Array.from(await x.data());

conformance('a mixture of experts', (device) => {
  const floats = (data: readonly number[], shape: readonly number[]) =>
    device().tensor(Float32Array.from(data), { shape });

  test('chooses as softmax, sigmoid, correction and groups say', async () => {
    const logits = floats([0, 2, 1, -1, 3, -2, 0.5, 0.25], [1, 8]);
    const exp = (x: number) => Math.exp(x);
    const plain = routeTokens(logits, { count: 2, normalize: false });
    const total = [0, 2, 1, -1, 3, -2, 0.5, 0.25].reduce((sum, x) => sum + exp(x), 0);
    expect(await list(plain.experts)).toEqual([4, 1]);
    const weights = await list(plain.weights);
    expect(weights[0]).toBeCloseTo(exp(3) / total, 6);
    expect(weights[1]).toBeCloseTo(exp(2) / total, 6);
    const normal = await list(routeTokens(logits, { count: 2 }).weights);
    expect(normal[0]).toBeCloseTo(exp(3) / (exp(3) + exp(2)), 6);
    // groups of two: [0, 2], [1, -1], [3, -2], [0.5, 0.25]; the correction lifts the last
    const groups = { count: 4, chosen: 1 };
    const chosen = routeTokens(logits, { count: 2, scores: 'sigmoid', groups, scale: 3 });
    expect(await list(chosen.experts)).toEqual([1, 0]);
    const sigmoid = (x: number) => 1 / (1 + exp(-x));
    const [first] = await list(chosen.weights);
    expect(first).toBeCloseTo((3 * sigmoid(2)) / (sigmoid(2) + sigmoid(0)), 5);
    const correction = floats([0, 0, 0, 0, 0, 0, 0.9, 0], [8]);
    const lifted = routeTokens(logits, { count: 1, scores: 'sigmoid', correction, groups, normalize: false });
    expect(await list(lifted.experts)).toEqual([6]);
    expect((await list(lifted.weights))[0]).toBeCloseTo(sigmoid(0.5), 6);
  });

  test('a row that is not finite changes no other, and experts that nobody has do not matter', async () => {
    const [E, F, N] = [4, 2, 3];
    const values = (count: number, shift: number) => Array.from({ length: count }, (_, i) => Math.sin(i + shift));
    const matrix = (shape: readonly [number, number, number], shift: number, odd: number) => {
      const data = values(shape[0] * shape[1] * shape[2], shift);
      // expert 1 holds what is no number
      return floats(
        data.map((x, i) => (Math.floor(i / (shape[1] * shape[2])) === 1 ? odd : x)),
        shape,
      );
    };
    const experts = {
      gate: matrix([N, F, E], 1, Number.NaN),
      up: matrix([N, F, E], 2, Infinity),
      down: matrix([N, E, F], 3, -Infinity),
    };
    const rows = values(3 * E, 4);
    const logits = [3, -9, 2, 1, -9, 4, 2, -9, 1];
    const run = (x: readonly number[], l: readonly number[]) =>
      list(routedExperts(floats(x, [3, E]), routeTokens(floats(l, [3, N]), { count: 2 }), experts));
    const good = await run(rows, logits);
    expect(good.every(Number.isFinite)).toBe(true);
    const bad = await run(
      rows.map((x, i) => (Math.floor(i / E) === 1 ? Number.NaN : x)),
      logits.map((x, i) => (Math.floor(i / N) === 1 ? Number.NaN : x)),
    );
    expect([...bad.slice(0, E), ...bad.slice(2 * E)]).toEqual([...good.slice(0, E), ...good.slice(2 * E)]);
    expect(bad.slice(E, 2 * E).every(Number.isNaN)).toBe(true);
  });

  test('refuses counts and shapes that do not fit', () => {
    const logits = device().zeros([2, 6]);
    expect(() => routeTokens(logits, { count: 7 })).toThrow(/count must be a whole number from 1 to 6 experts, got 7/);
    expect(() => routeTokens(logits, { count: 1, groups: { count: 4, chosen: 1 } })).toThrow(/groups must divide 6/);
    expect(() => routeTokens(logits, { count: 3, groups: { count: 3, chosen: 1 } })).toThrow(/fewer than 3/);
    const w = device().zeros([3, 2, 4]);
    const routing = routeTokens(device().zeros([2, 3]), { count: 2 });
    expect(() => routedExperts(device().zeros([2, 5]), routing, { gate: w, up: w, down: w })).toThrow(
      /x must be \[T, 4\] or \[T, S, 4\]/,
    );
  });
});
