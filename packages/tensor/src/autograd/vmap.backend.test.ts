import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import type { Tensor } from '../graph/tensor.ts';
import { conv1d } from '../ops/convolution/convolution.ts';
import { add } from '../ops/elementwise/elementwise.ts';
import { where } from '../ops/elementwise/where.ts';
import { take } from '../ops/indexing/gather.ts';
import { takeAlongAxis } from '../ops/indexing/indexing.ts';
import { sort } from '../ops/indexing/sort.ts';
import { stack } from '../ops/movement/arrange.ts';
import { concat } from '../ops/movement/concat.ts';
import { crossEntropy, linear } from '../ops/nn.ts';
import { layerNorm } from '../ops/rows/normalization.ts';
import { grad } from './grad.ts';
import { jvp } from './jvp.ts';
import { vmap } from './vmap.ts';

conformance('vmap', (device) => {
  /** Every function is compared with itself, one example after the other. */
  test('computes what the function gives for each example', async () => {
    const d = device();
    const ramp = (...shape: number[]) =>
      d
        .arange(
          shape.reduce((a, b) => a * b),
          'f32',
        )
        .mul(0.7)
        .sin()
        .reshape(shape);
    const [x, y, w] = [ramp(3, 2, 4), ramp(3, 4, 2).add(0.3), ramp(2, 4)];
    const i = d.tensor(
      [
        [1, 0],
        [0, 0],
        [1, 1],
      ],
      { dtype: 'i32' },
    );
    const example = (t: Tensor, at: number) => t.slice(0, at, at + 1).squeeze([0]);
    const cases: [string, (a: Tensor, b: Tensor, i: Tensor) => Tensor][] = [
      ['functions of values', (a, b) => add(a.exp(), b.transpose().mul(w)).maximum(0.5).clip(0, 2)],
      ['operands of fewer axes', (a, b) => a.mul(b.slice(1, 0, 1).squeeze([1])).div(w.slice(0, 0, 1).add(3))],
      ['conditions', (a, b) => where(a.greater(0), b.transpose(), 1).cast('f16').cast('f32')],
      [
        'reductions',
        (a) =>
          a
            .sum(0)
            .add(a.max(1, { keepDims: true }))
            .add(a.mean())
            .add(a.variance(-1, { keepDims: true })),
      ],
      ['products', (a, b) => a.matmul(b).matmul(w).add(w.matmul(b).matmul(a))],
      ['products with vectors', (a, b) => a.matmul(b.slice(1, 0, 1).squeeze([1]))],
      ['moves', (a) => a.transpose().reshape([8]).slice(0, 1, 7, 2).flip().expand([2, 3]).permute([1, 0])],
      ['joins', (a) => concat([a, w, a], 1)],
      ['indices of an example', (a, _, at) => take(w, at, 0).add(a)],
      ['an example at common indices', (a) => take(a, d.arange(2), 1)],
      ['an example at its indices', (a, _, at) => take(a, at, 1)],
      ['along an axis', (a, _, at) => takeAlongAxis(a, at.reshape([1, 2]).expand([2, 2]), 1)],
      ['sums so far and softmax', (a) => a.cumsum(1).softmax(0)],
      ['places', (a) => a.argmax(1).add(a.argmin(0).sum())],
      ['sorting', (a) => sort(a, 1).values],
      ['norms, by what they are made of', (a) => layerNorm(a, w.slice(0, 0, 1).squeeze([0]))],
      ['what has no rule', (a) => conv1d(a.reshape([1, 2, 4]), w.reshape([2, 2, 2]))],
      ['what does not depend on examples', () => w.mul(2)],
    ];
    for (const [name, fn] of cases) {
      const batched = vmap(fn)(x, y, i);
      const each = stack(
        [0, 1, 2].map((at) => fn(example(x, at), example(y, at), example(i, at))),
        0,
      );
      expect([name, batched.shape]).toEqual([name, each.shape]);
      const [got, right] = [await batched.data(), await each.data()];
      for (const [at, value] of [...right].entries()) expect(got[at], name).toBeCloseTo(value, 4);
    }
    i.dispose();
  });

  test('gives gradients of each example, along other axes and in trees', async () => {
    const d = device();
    const w = d.tensor([
      [1, 2],
      [3, 4],
      [-1, 0.5],
    ]);
    const x = d.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const labels = d.tensor([0, 2, 1], { dtype: 'i32' });
    const loss = (weight: Tensor, batch: { x: Tensor; label: Tensor }) =>
      crossEntropy(linear(batch.x.reshape([1, 2]), weight), batch.label.reshape([1]));
    const perExample = vmap((weight: Tensor, batch: { x: Tensor; label: Tensor }) => grad(loss)(weight, batch)[0], {
      inAxes: [null, -1],
    });
    const slopes = perExample(w, { x, label: labels });
    expect(slopes.shape).toEqual([3, 3, 2]);
    const whole = grad((weight: Tensor) => crossEntropy(linear(x.transpose(), weight), labels))(w)[0];
    const [mean, right] = [await slopes.mean(0).data(), await whole.data()];
    for (const [at, value] of [...right].entries()) expect(mean[at]).toBeCloseTo(value, 4);
    const behind = vmap((row: Tensor) => row.mul(2), { outAxis: 1 })(x);
    expect(await behind.toArray()).toEqual([
      [2, 8],
      [4, 10],
      [6, 12],
    ]);
    for (const tensor of [w, x, labels]) tensor.dispose();
  });

  test('jvp is the derivative in a direction', async () => {
    const d = device();
    const [x, t] = [d.tensor([0.5, -1, 2]), d.tensor([1, 2, -0.5])];
    const { value, tangent } = jvp((a: Tensor) => a.mul(a).sin(), [x], [t]);
    const right = [0.5, -1, 2].map((a, i) => Math.cos(a * a) * 2 * a * [1, 2, -0.5][i]!);
    for (const [i, got] of [...(await tangent.data())].entries()) expect(got).toBeCloseTo(right[i]!, 5);
    expect(await value.shape).toEqual([3]);
    const m = d.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const { tangent: ofProduct } = jvp((a: Tensor, b: Tensor) => a.matmul(b), [m, x], [m.mul(0.5), t]);
    const both = m.mul(0.5).matmul(x).add(m.matmul(t));
    for (const [i, got] of [...(await ofProduct.data())].entries()) expect(got).toBeCloseTo((await both.data())[i]!, 4);
    for (const tensor of [x, t, m]) tensor.dispose();
  });

  test('mistakes are named', () => {
    const d = device();
    const x = d.ones([3, 2]);
    expect(() => vmap(5 as never)).toThrow('vmap: fn must be a function, got the number 5');
    expect(() => vmap((a: Tensor) => a)(d.ones([]))).toThrow('vmap: axis must be an integer');
    expect(() => vmap((a: Tensor, b: Tensor) => a.add(b))(x, d.ones([4, 2]))).toThrow(
      'as many examples each, got 3 and 4',
    );
    expect(() => vmap((a: Tensor) => a, { inAxes: [null] })(x)).toThrow('no argument has examples');
    expect(() => vmap((a: Tensor) => a, { inAxes: [0, 0] })(x)).toThrow('inAxes must name 1 axes');
    expect(() => jvp((a: Tensor) => a, [x], [d.ones([2])])).toThrow('tangent 0 must have the shape [3, 2], got [2]');
    expect(() => jvp((a: Tensor) => a, [x], [] as never)).toThrow('a tangent for each argument, got 0 for 1');
    expect(() => jvp((a: Tensor) => a, [d.arange(2)], [d.arange(2)])).toThrow('both f32 or f16, got i32 and i32');
  });
});
