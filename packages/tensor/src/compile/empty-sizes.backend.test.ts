import { compile, type Tensor, where } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';

conformance('compiled functions whose named sizes are 0', (device) => {
  const of = async (tensors: readonly Tensor[]) =>
    Promise.all(tensors.map(async (x) => [x.shape, ...new Set(await x.data())]));

  test('sums over nothing are 0 and extremes what they begin with, whatever was in memory', async () => {
    const f = compile(
      (x: Tensor, y: Tensor, seen: Tensor) => [
        x.matmul(y, { transposeA: true }), // sums over N
        x.matmul(y.permute([0, 1, 3, 2])).sum(-1), // of no rows
        where(seen, x.permute([0, 1, 3, 2]), -3).max(-1, { keepDims: true }),
        x.mean(2).add(y.max(2)).equal(0),
        x.softmax(2),
      ],
      {
        device: device(),
        inputs: [{ shape: [2, 2, 'N', 3] }, { shape: [2, 2, 'N', 3] }, { shape: [3, 'N'], dtype: 'bool' }],
        symbols: { N: 8 },
      },
    );
    const run = (n: number) =>
      f(new Float32Array(12 * n).fill(1), new Float32Array(12 * n).fill(2), new Uint8Array(3 * n).fill(1));
    for (const n of [2, 0, 2]) {
      expect(await of(await run(n)), `${n}`).toEqual([
        [[2, 2, 3, 3], 2 * n],
        [[2, 2, n], ...(n ? [6 * n] : [])],
        [[2, 2, 3, 1], n ? 1 : Number.NEGATIVE_INFINITY],
        [[2, 2, 3], 0],
        [[2, 2, n, 3], ...(n ? [1 / n] : [])],
      ]);
    }
    f.dispose();
  });

  test('and updates of variables take place', async () => {
    const total = device().variable([1, 2]);
    const add = compile((x: Tensor) => [total.assign(total.add(x.sum(0)).add(1))], {
      device: device(),
      inputs: [{ shape: ['N', 2] }],
      symbols: { N: 4 },
    });
    await add.prepare({ N: 0 });
    await add(new Float32Array(0));
    await add(Float32Array.of(10, 20));
    await add(new Float32Array(0));
    expect([...(await total.data())]).toEqual([14, 25]);
    add.dispose();
    await expect(add(new Float32Array(0))).rejects.toThrow('disposed');
  });
});
