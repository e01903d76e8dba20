import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import type { Tensor } from '../graph/tensor.ts';
import { compile } from './compile.ts';

conformance('calls that do not wait for each other', (device) => {
  test('have results of their own; those that wait overwrite', async () => {
    const x = [1, 2, 3].map((value) => device().tensor([value, value]));
    const double = compile((a: Tensor) => ({ y: a.mul(2), sum: a.sum() }));
    await double(x[0]!);
    await device().trim();
    const before = device().memory().live;
    const results = await Promise.all(x.map((a) => double(a)));
    expect(await Promise.all(results.map(({ y }) => y.toArray()))).toEqual([
      [2, 2],
      [4, 4],
      [6, 6],
    ]);
    const next = await double(x[0]!);
    expect(await results[1]!.sum.item()).toBe(4);
    await expect(results[2]!.y.data()).rejects.toThrow(/a later run/);
    expect(await next.sum.item()).toBe(2);
    for (const { y, sum } of results) {
      y.dispose();
      sum.dispose();
    }
    expect(device().memory().live).toBeLessThanOrEqual(before);
    double.dispose();
    for (const a of x) a.dispose();
  });

  test('have results of their own, too, where calls of other shapes are compiled between them', async () => {
    const double = compile((a: Tensor) => a.mul(2));
    const values = [[1, 1], [2], [3, 3], [4], [5, 5]]; // biome-ignore format: a list
    const x = values.map((value) => device().tensor(value));
    const results = await Promise.all(x.map((a) => double(a)));
    expect(await Promise.all(results.map((y) => y.toArray()))).toEqual(
      values.map((value) => value.map((each) => 2 * each)),
    );
    double.dispose();
    for (const held of [...x, ...results]) held.dispose();
  });

  test('of which one gives its result to the next', async () => {
    const next = compile((a: Tensor) => a.add(1));
    const x = device().tensor([1]);
    const [first, second] = await Promise.all([next(x), next(x).then((y) => next(y))]);
    expect([await first.item(), await second.item()]).toEqual([2, 3]);
    next.dispose();
    x.dispose();
    first.dispose();
  });
});
