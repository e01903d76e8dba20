import { expect } from 'vitest';
import { expectClose } from '../../../../test-support/operations.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { grad } from '../autograd/grad.ts';
import { f16ToF32 } from '../float16.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { gelu, silu } from './elementwise/activation.ts';
import { mish } from './elementwise/rectifiers.ts';
import { crossEntropy } from './nn.ts';
import { norm, std } from './reduce/norm.ts';
import { logSumExp } from './reduce/statistics.ts';
import { batchNorm } from './rows/batch-norm.ts';
import { linearCrossEntropy } from './rows/loss.ts';
import { groupNorm, layerNorm } from './rows/normalization.ts';
import { rmsNorm } from './rows/rms-norm.ts';
import { softmax } from './rows/softmax.ts';

const infinity = Number.POSITIVE_INFINITY;

async function numbers(tensor: Tensor): Promise<number[]> {
  const data = await tensor.data();
  return [...(tensor.dtype === 'f16' ? f16ToF32(data as Uint16Array) : data)];
}
const f16 = (device: Device, values: readonly number[]) => device.tensor([...values], { dtype: 'f16' });
const ignoring = (device: Device, targets: readonly number[]) => device.tensor([...targets], { dtype: 'i32' });

/** Gradients worked out by hand, where a formula that is written down plainly leaves the range of f32 or f16 on its way. */
conformance('gradients whose terms would leave the range of their dtype', (device) => {
  test('division', async () => {
    const by = grad((a: Tensor, b: Tensor) => a.div(b).sum(), { argnums: [0, 1] });
    const values = device().tensor([1e-20, 1e25, 1e-30]);
    const [a, b] = by(values, values);
    expectClose(await numbers(a), [1e20, 1e-25, 1e30], 1e-5);
    expectClose(
      (await numbers(b)).map((g, i) => g * [1e-20, 1e25, 1e-30][i]!),
      [-1, -1, -1],
      1e-5,
    );
    const none = grad((x: Tensor, y: Tensor) => x.div(y).mul(0).sum(), { argnums: [1] })(values, values);
    expect((await numbers(none[0])).map(Math.abs)).toEqual([0, 0, 0]);
    const scaled = grad((x: Tensor, y: Tensor) => x.div(y).mul(1e20).sum(), { argnums: [1] });
    expectClose(await numbers(scaled(device().tensor([1e-25]), device().tensor([1e-20]))[0]), [-1e35], 1e-4);
    expect((await numbers(scaled(device().tensor([0]), device().tensor([1e-20]))[0])).map(Math.abs)).toEqual([0]);
  });

  test('division of f16', async () => {
    const values = f16(device(), [300, 1e-4, 2]);
    const [a, b] = grad((x: Tensor, y: Tensor) => x.div(y).sum(), { argnums: [0, 1] })(values, values);
    const held = await numbers(values);
    expectClose(
      (await numbers(a)).map((g, i) => g * held[i]!),
      [1, 1, 1],
      1e-3,
    );
    expectClose(
      (await numbers(b)).map((g, i) => g * held[i]!),
      [-1, -1, -1],
      1e-3,
    );
  });

  test('square roots and their inverses', async () => {
    const by = (f: (x: Tensor) => Tensor, values: Tensor) => grad((x: Tensor) => f(x).sum())(values)[0];
    const small = by((x) => x.rsqrt(), device().tensor([1.5e-26]));
    expectClose(await numbers(small), [-0.5 * 1.5e-26 ** -1.5], 1e-4);
    const half = f16(device(), [5e-4, 0.002]);
    expectClose(
      await numbers(by((x) => x.rsqrt(), half)),
      (await numbers(half)).map((x) => -0.5 * x ** -1.5),
      1e-3,
    );
    expectClose(await numbers(by((x) => x.sqrt(), f16(device(), [60000]))), [0.5 / Math.sqrt(60000)], 2e-3);
  });

  test('powers of 0', async () => {
    const power = (a: Tensor, b: Tensor) => a.pow(b).sum();
    for (const dtype of ['f32', 'f16'] as const) {
      const [a, b] = [device().tensor([0], { dtype }), device().tensor([2], { dtype })];
      const first = grad(power, { argnums: [0, 1] })(a, b);
      expect((await numbers(first[0])).map(Math.abs)).toEqual([0]);
      expect((await numbers(first[1])).map(Math.abs)).toEqual([0]);
      const baseThenExponent = grad((x: Tensor, y: Tensor) => grad(power)(x, y)[0].sum(), { argnums: [1] })(a, b);
      expect((await numbers(baseThenExponent[0])).map(Math.abs)).toEqual([0]);
      const exponentThenBase = grad((x: Tensor, y: Tensor) => grad(power, { argnums: [1] })(x, y)[0].sum())(a, b);
      expect((await numbers(exponentThenBase[0])).map(Math.abs)).toEqual([0]);
    }
    const inverse = grad(power, { argnums: [1] })(device().tensor([0]), device().tensor([-1]));
    expect(await numbers(inverse[0])).toEqual([-infinity]);
    // d/db of b a^(b-1) at b = 0 is 1 / a
    const mixed = grad((x: Tensor, y: Tensor) => grad(power)(x, y)[0].sum(), { argnums: [1] });
    expectClose(await numbers(mixed(device().tensor([2]), device().tensor([0]))[0]), [0.5], 1e-5);
  });

  test('shares of equal values', async () => {
    for (const name of ['maximum', 'minimum'] as const) {
      const [a, b] = grad(
        (x: Tensor, y: Tensor) =>
          x[name](y)
            .mul(device().tensor([1, 10, 100]))
            .sum(),
        {
          argnums: [0, 1],
        },
      )(device().tensor([2, 3, 1]), device().tensor([2, 1, 3]));
      const [larger, smaller] = [
        [0.5, 10, 0],
        [0.5, 0, 100],
      ];
      expect(await numbers(a)).toEqual(name === 'maximum' ? larger : smaller);
      expect(await numbers(b)).toEqual(name === 'maximum' ? smaller : larger);
    }
  });

  test('logarithms of sums of exponentials', async () => {
    const by = (x: Tensor) => grad((y: Tensor) => logSumExp(y))(x)[0];
    expect(await numbers(by(f16(device(), [1000, 1000])))).toEqual([0.5, 0.5]);
    expect(await numbers(by(device().tensor([1e6, 1e6])))).toEqual([0.5, 0.5]);
    expect(await numbers(by(device().tensor([-infinity, -infinity])))).toEqual([0, 0]);
    expect(await numbers(by(device().tensor([-infinity, 7])))).toEqual([0, 1]);
  });

  test('products', async () => {
    const by = (x: Tensor) => grad((y: Tensor) => y.prod())(x)[0];
    const small = (await numbers(by(device().tensor([1e-25, 1e-25])))).map((g) => g * 1e25);
    expectClose(small, [1, 1], 1e-5);
    expectClose(await numbers(by(device().tensor([1e25, 1e25, 1e-30]))), [1e-5, 1e-5, infinity], 1e-4);
    expect(await numbers(by(device().tensor([infinity, 2])))).toEqual([2, infinity]);
    expect(await numbers(by(device().tensor([0, 3, 5])))).toEqual([15, 0, 0]);
    expect(await numbers(by(f16(device(), [300, 300, 0.5])))).toEqual([150, 150, infinity]);
  });

  test('activations far out', async () => {
    const far = device().tensor([1e30, -1e30, infinity, -infinity]);
    for (const f of [silu, gelu, (x: Tensor) => gelu(x, { approximate: 'tanh' })]) {
      expectClose((await numbers(f(far))).map(Math.abs), [Math.fround(1e30), 0, infinity, 0], 1e-6);
      expect((await numbers(grad((x: Tensor) => f(x).sum())(far)[0])).map(Math.abs)).toEqual([1, 0, 1, 0]);
      const half = f16(device(), [60000, -60000]);
      expect((await numbers(f(half))).map(Math.abs)).toEqual([60000, 0]);
      expect((await numbers(grad((x: Tensor) => f(x).sum())(half)[0])).map(Math.abs)).toEqual([1, 0]);
    }
  });

  test('sigmoid where it is nearly 1', async () => {
    const slope = await numbers(grad((x: Tensor) => x.sigmoid().sum())(device().tensor([8, -8]))[0]);
    expectClose(slope, [3.3523767e-4, 3.3523767e-4], 1e-3);
  });

  test('matrices of f16 that broadcast: their products are added up as they are, and stored once', async () => {
    // each product is beyond f16, or rounds 1 away beside 4096; their sum is neither
    const rows = device().tensor([[[60000]], [[-60000]], [[4096]], [[1]], [[-4096]]], { dtype: 'f16' });
    const twice = f16(device(), [2]).reshape([1, 1]);
    const weights = device().tensor([[[2]], [[2]], [[1]], [[1]], [[1]]], { dtype: 'f16' });
    const right = grad((b: Tensor) => rows.matmul(b).mul(weights).sum())(twice)[0];
    expect(await numbers(right)).toEqual([1]);
    const left = grad((a: Tensor) => a.matmul(rows).mul(weights).sum())(twice)[0];
    expect(await numbers(left)).toEqual([1]);
  });

  test('a tensor of f16 that is used three times: its gradient is rounded once', async () => {
    const [up, down] = [60000, -60000];
    const uses = (x: Tensor) => x.mul(up).add(x.exp().mul(up)).add(x.cos().mul(down)).add(x.sin().mul(down)).sum();
    expect(await numbers(grad(uses)(f16(device(), [0]))[0])).toEqual([up]);
  });

  test('activations of rectifiers and norms where their slopes are infinite times 0', async () => {
    const at = async (f: (x: Tensor) => Tensor, ...values: number[]) =>
      (await numbers(grad((x: Tensor) => f(x).sum())(device().tensor(values))[0])).map(Math.abs);
    expect(await at(mish, infinity, -infinity, 1e30, -1e30)).toEqual([1, 0, 1, 0]);
    expect(await at((x) => std(x), 3, 3)).toEqual([0, 0]);
    expectClose(await at((x) => std(x), 1e30, -1e30), [0.5, 0.5], 1e-5);
    expectClose(await at((x) => norm(x, undefined, { ord: 0.5 }), 0, 4), [0, 1], 1e-5);
  });

  test('softmax of f16 is rounded once', async () => {
    const x = f16(device(), [1, 2, 3, 4]);
    const weights = f16(device(), [1, 0, 0, 0]);
    const e = [1, 2, 3, 4].map(Math.exp);
    const y = e.map((value) => value / e.reduce((a, b) => a + b));
    const right = y.map((value, i) => y[0]! * ((i === 0 ? 1 : 0) - value));
    const got = await numbers(grad((z: Tensor) => softmax(z).mul(weights).sum())(x)[0]);
    got.forEach((value, i) => {
      expect(Math.abs(value - right[i]!)).toBeLessThanOrEqual(Math.abs(right[i]!) * 2 ** -11 * 1.01);
    });
  });
});

conformance('norms of values whose squares f32 does not hold', (device) => {
  const signs = [1, -1, 1, -1];
  // rows of whole fours have kernels of their own on a GPU
  for (const width of [2, 4])
    for (const size of [1e20, 1e25, 1e30])
      test(`${width} of ${size}`, async () => {
        const units = signs.slice(0, width);
        const x = device().tensor(units.map((unit) => unit * size));
        const gains = units.map((_, i) => i + 1);
        const gain = device().tensor(gains);
        const scaled = units.map((unit, i) => unit * gains[i]!);
        expectClose(await numbers(layerNorm(x)), units, 1e-5);
        expectClose(await numbers(layerNorm(x, gain)), scaled, 1e-5);
        expectClose(await numbers(rmsNorm(x, gain)), scaled, 1e-5);
        expectClose(await numbers(groupNorm(x.reshape([1, width]), 1)), units, 1e-5);
        expectClose(await numbers(batchNorm(x.reshape([width, 1]))), units, 1e-5);
        expectClose(await numbers(std(x)), [size], 1e-5);
        // a product of one row takes the norm on its way
        const product = rmsNorm(x.reshape([1, width]), gain).matmul(device().ones([width, 1]));
        expectClose(await numbers(product), [scaled.reduce((a, b) => a + b)], 1e-5);
        const first = device().tensor(units.map((_, i) => Number(i === 0)));
        const [byX, byGain] = grad((y: Tensor, g: Tensor) => rmsNorm(y, g).mul(first).sum(), { argnums: [0, 1] })(
          x,
          device().ones([width]),
        );
        const slopes = units.map((unit, i) => (Number(i === 0) - unit / width) * 1);
        expectClose((await numbers(byX)).map((g) => g * size), slopes, 1e-4); // biome-ignore format: a value
        expectClose(await numbers(byGain), units.map((_, i) => Number(i === 0)), 1e-5); // biome-ignore format: a value
        const [centred] = grad((y: Tensor) => layerNorm(y).mul(first).sum())(x);
        const across = units.map((unit, i) => Number(i === 0) - 1 / width - unit / width);
        const got = (await numbers(centred)).map((g) => g * size);
        for (const [i, g] of got.entries()) expect(Math.abs(g - across[i]!)).toBeLessThan(1e-4);
      });

  test('small values beside epsilon, and without it', async () => {
    const x = device().tensor([1e-4, -1e-4, 1e-9, -1e-9]).reshape([2, 2]);
    const ones = device().ones([2]);
    const small = 1e-4 / Math.sqrt(1e-8 + 1e-6);
    expectClose(await numbers(rmsNorm(x, ones)), [small, -small, 1e-6, -1e-6], 1e-5);
    expectClose(await numbers(rmsNorm(x, ones, 0)), [1, -1, 1, -1], 1e-5);
    expectClose(await numbers(rmsNorm(x, ones, 1e-12)), [1, -1, 1e-3, -1e-3], 1e-4);
  });

  test('a sigmoid that is nearly 0, and its logarithm', async () => {
    const x = device().tensor([-30, -80]);
    expectClose(await numbers(x.sigmoid().log()), [-30, -80], 1e-5);
    expectClose((await numbers(x.sigmoid())).map(Math.log), [-30, -80], 1e-5);
  });
});

conformance('rows that do not count', (device) => {
  const logits = [
    [1, 2, 3],
    [Number.NaN, -infinity, infinity],
    [0.5, 0.25, -1],
  ];
  for (const labelSmoothing of [0, 0.1])
    test(`change neither loss nor gradient, with label smoothing ${labelSmoothing}`, async () => {
      const clean = [logits[0]!, [0, 0, 0], logits[2]!];
      const targets = ignoring(device(), [0, -100, 2]);
      const loss = (x: Tensor) => crossEntropy(x, targets, { labelSmoothing });
      const [dirty, right] = [device().tensor(logits), device().tensor(clean)];
      expect(await numbers(loss(dirty))).toEqual(await numbers(loss(right)));
      const gradient = await numbers(grad(loss)(dirty)[0]);
      expect(gradient).toEqual(await numbers(grad(loss)(right)[0]));
      expect(gradient.slice(3, 6)).toEqual([0, 0, 0]);
      const expected = clean.flatMap((row, t) => {
        const e = row.map(Math.exp);
        const total = e.reduce((a, b) => a + b);
        const at = [0, -100, 2][t];
        return e.map((value, i) =>
          t === 1 ? 0 : (value / total - (i === at ? 1 - labelSmoothing : 0) - labelSmoothing / 3) / 2,
        );
      });
      expectClose(gradient, expected, 1e-5);
    });

  test('where none counts, or none is there, the loss is not a number and the gradient 0, of both losses', async () => {
    const weight = device().tensor([[1, 2], [3, 4], [5, 6]]); // biome-ignore format: a matrix
    for (const rows of [2, 0]) {
      const x = device().tensor(new Float32Array(2 * rows).fill(1), { shape: [rows, 2] });
      const targets = device().tensor(new Int32Array(rows).fill(-100));
      const losses = [
        (h: Tensor, w: Tensor) => crossEntropy(h.matmul(w, { transposeB: true }), targets),
        (h: Tensor, w: Tensor) => linearCrossEntropy(h, w, targets),
      ];
      for (const loss of losses) {
        expect(await numbers(loss(x, weight))).toEqual([Number.NaN]);
        const [byX, byWeight] = grad(loss, { argnums: [0, 1] })(x, weight);
        expect((await numbers(byX)).map(Math.abs)).toEqual(new Array(2 * rows).fill(0));
        expect((await numbers(byWeight)).map(Math.abs)).toEqual(new Array(6).fill(0));
      }
    }
  });

  test('a target that is no class makes the loss not a number', async () => {
    const x = device().tensor(logits.slice(0, 1));
    const weight = device().tensor([[1], [2], [3]]); // biome-ignore format: a matrix
    for (const target of [-1, 3]) {
      const targets = ignoring(device(), [target]);
      expect(await numbers(crossEntropy(x, targets))).toEqual([Number.NaN]);
      expect(await numbers(linearCrossEntropy(device().tensor([[1]]), weight, targets))).toEqual([Number.NaN]);
    }
  });
});
