import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu } from '../../../../../test-support/own-webgpu.ts';
import { test } from '../../../../../test-support/suite.ts';
import { gradients } from '../../autograd/gradients.ts';
import { compile } from '../../compile/compile.ts';
import { f16ToF32, f32ToF16 } from '../../float16.ts';
import type { Device } from '../../graph/device.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { matmul } from '../../ops/matmul/matmul.ts';

const numbers = async (tensor: Tensor) => [...(await tensor.data())];

onWebGpu('updates of variables', (device) => {
  test('of an optimizer are one kernel, in place', async () => {
    const own = await openOwnWebGpu();
    const make = (name: string, value: number) => own.variable(new Float32Array(64).fill(value), { name });
    const [p, m, v] = [make('p', 1), make('m', 0), make('v', 0)];
    const step = compile(
      (g: Tensor, rate: Tensor) => {
        const first = m.mul(0.9).add(g.mul(0.1));
        const second = v.mul(0.99).add(g.mul(g).mul(0.01));
        const next = p.sub(first.div(second.sqrt().add(1e-8)).mul(rate));
        return [m.assign(first), v.assign(second), p.assign(next)];
      },
      { device: own, inputs: [{ shape: [64] }, { shape: [] }] },
    );
    await step(new Float32Array(64).fill(2), Float32Array.of(0.5));
    expect(step.kernelCount()).toBe(1);
    expect(step.plannedBytes()).toEqual({ peak: 0, sum: 0 });
    expect((await numbers(m))[63]).toBeCloseTo(0.2, 6);
    expect((await numbers(v))[0]).toBeCloseTo(0.04, 6);
    expect((await numbers(p))[5]).toBeCloseTo(1 - 0.5 * (0.2 / 0.2), 5);
    await own.dispose();
  });

  test('of many parameters of one shape are a few kernels, in place', async () => {
    const own = await openOwnWebGpu();
    const count = 9;
    const of = (name: string, value: number) =>
      Array.from({ length: count }, (_, i) =>
        own.variable(new Float32Array(8).fill(value + i), { name: `${name}${i}` }),
      );
    const [parameters, moments] = [of('p', 1), of('m', 0)];
    const step = compile(
      (rates: Tensor) => {
        const [rate, keep] = [0, 1].map((i) => rates.slice(0, i, i + 1).reshape([]));
        return parameters.flatMap((p, i) => {
          const next = moments[i]!.mul(keep!).add(p.mul(2));
          return [moments[i]!.assign(next), p.assign(p.sub(next.mul(rate!)))];
        });
      },
      { device: own, inputs: [{ shape: [2] }] },
    );
    await step(Float32Array.of(0.5, 0.25));
    expect(step.kernelCount()).toBeLessThan(count);
    expect(step.plannedBytes()).toEqual({ peak: 0, sum: 0 });
    for (const [i, p] of parameters.entries()) expect((await numbers(p))[7]).toBe(1 + i - (i * 0.25 + 2 * (1 + i)) / 2);
    await own.dispose();
  });

  test('see the values from before, whatever the order', async () => {
    const [a, b] = [device().variable([1, 2], { name: 'a' }), device().variable([3, 4], { name: 'b' })];
    const swap = compile(() => ({ sum: a.add(b), ends: [a.assign(b), b.assign(a)] }), { device: device() });
    const { sum } = await swap();
    expect(await numbers(sum)).toEqual([4, 6]);
    expect([await numbers(a), await numbers(b)]).toEqual([
      [3, 4],
      [1, 2],
    ]);
    // each reads the other in an expression
    await device().realize([], [a.assign(b.mul(10)), b.assign(a.add(b))]);
    expect([await numbers(a), await numbers(b)]).toEqual([
      [10, 20],
      [4, 6],
    ]);
    // its own values at other places
    await device().realize([], [a.assign(a.slice(0, 1).add(a.sum()).expand([2]))]);
    expect(await numbers(a)).toEqual([50, 50]);
  });

  test('give outputs the values from before', async () => {
    const state = device().variable([1, 2, 3], { name: 'state' });
    const step = compile(
      () => ({ before: state, again: state, twice: state.mul(2), next: state.assign(state.add(1)) }),
      {
        device: device(),
      },
    );
    for (const expected of [
      [1, 2, 3],
      [2, 3, 4],
    ]) {
      const { before, again, twice } = await step();
      expect(await numbers(before)).toEqual(expected);
      expect(await numbers(again)).toEqual(expected);
      expect(await numbers(twice)).toEqual(expected.map((x) => 2 * x));
    }
    expect(await numbers(state)).toEqual([3, 4, 5]);
  });

  test('of products, reductions and reshapes', async () => {
    const w = device().variable([1, 2, 3, 4], { shape: [2, 2], name: 'w' });
    await device().realize([], [w.assign(matmul(w, w))]);
    expect(await numbers(w)).toEqual([7, 10, 15, 22]);
    await device().realize([], [w.assign(w.sum(0, { keepDims: true }).expand([2, 2]))]);
    expect(await numbers(w)).toEqual([22, 32, 22, 32]);
    await device().realize(
      [],
      [
        w.assign(
          w
            .reshape([4])
            .mul(device().tensor([1, 0, 1, 0]))
            .reshape([2, 2]),
        ),
      ],
    );
    expect(await numbers(w)).toEqual([22, 0, 22, 0]);
  });

  test('take a variable that is an argument, and outputs that come back as inputs', async () => {
    const state = device().variable([1, 1], { name: 'state' });
    const step = compile((x: Tensor) => ({ y: x.mul(3), next: state.assign(state.add(x)) }), { device: device() });
    let { y } = await step(state);
    expect([await numbers(y), await numbers(state)]).toEqual([
      [3, 3],
      [2, 2],
    ]);
    for (const expected of [9, 27]) {
      ({ y } = await step(y));
      expect(await numbers(y)).toEqual([expected, expected]);
    }
    expect(await numbers(state)).toEqual([14, 14]);
  });

  const scatter = (on: Device, dtype: 'f32' | 'f16', width: number) => async () => {
    const data = (values: number[]) =>
      dtype === 'f16' ? f32ToF16(Float32Array.from(values)) : Float32Array.from(values);
    const rows = 5;
    const cache = on.variable(data(Array.from({ length: rows * width }, (_, i) => i)), {
      shape: [rows, width],
      dtype,
      name: 'cache',
    });
    const step = compile(
      (value: Tensor, places: Tensor) => ({ sum: cache.cast('f32').sum(), write: cache.scatter(places, value.mul(2)) }),
      {
        device: on,
        inputs: [
          { shape: ['T', width], dtype },
          { shape: ['T'], dtype: 'i32' },
        ],
        symbols: { T: 8 },
      },
    );
    const places = [3, -1, 0, 7];
    const value = data(Array.from({ length: 4 * width }, (_, i) => 100 + i));
    const { sum } = await step(value, Int32Array.from(places));
    const n = rows * width;
    expect(await numbers(sum)).toEqual([(n * (n - 1)) / 2]);
    const expected = Array.from({ length: n }, (_, i) => i);
    for (const [t, row] of places.entries())
      if (row >= 0 && row < rows) for (let j = 0; j < width; j++) expected[row * width + j] = 2 * (100 + t * width + j);
    const got = await cache.data();
    expect([...(dtype === 'f16' ? f16ToF32(got as Uint16Array) : got)]).toEqual(expected);
  };
  for (const dtype of ['f32', 'f16'] as const)
    for (const width of [4, 6, 3])
      test(`scatter rows of ${width} ${dtype}, passing over what is no row`, () => scatter(device(), dtype, width)());

  test('scatter what is read from the same variable', async () => {
    const cache = device().variable([1, 2, 3, 4], { shape: [4, 1], name: 'cache' });
    await device().realize([], [cache.scatter(device().tensor(Int32Array.of(0, 1, 2)), cache.slice(0, 1, 4))]);
    expect(await numbers(cache)).toEqual([2, 3, 4, 4]);
  });

  test('run as soon as nothing reads the old value, so that gradients live shortly', async () => {
    const own = await openOwnWebGpu();
    const layers = Array.from({ length: 8 }, (_, i) =>
      own.variable(
        Float32Array.from({ length: 4096 }, (_, k) => Math.sin(i + k) / 8),
        { shape: [64, 64], name: `w${i}` },
      ),
    );
    const step = compile(
      (x: Tensor) => {
        const loss = layers.reduce((h, w) => matmul(h, w).tanh(), x).sum();
        const grads = gradients(loss, layers);
        return { loss, updates: layers.map((w, i) => w.assign(w.sub(grads[i]!.mul(0.01)))) };
      },
      { device: own, inputs: [{ shape: [4, 64] }] },
    );
    await step(new Float32Array(256).fill(0.1));
    const { peak } = step.plannedBytes()!;
    // eight gradients of 16 KiB never live together
    expect(peak).toBeLessThan(4 * 16_384);
    await own.dispose();
  });
});
