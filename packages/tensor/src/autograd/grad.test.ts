import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import type { Device } from '../graph/device.ts';
import { defineOp } from '../graph/op.ts';
import { record } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { silu } from '../ops/elementwise/activation.ts';
import { where } from '../ops/elementwise/where.ts';
import { take } from '../ops/indexing/gather.ts';
import { concat } from '../ops/movement/concat.ts';
import { stopGradient } from '../ops/movement/identity.ts';
import { crossEntropy } from '../ops/nn.ts';
import { rmsNorm } from '../ops/rows/rms-norm.ts';
import { openReference } from '../reference.ts';
import { checkpoint } from './checkpoint.ts';
import { grad, valueAndGrad } from './grad.ts';
import { gradients } from './gradients.ts';
import { jvp } from './jvp.ts';
import { vmap } from './vmap.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const list = async (tensor: Tensor) => [...(await tensor.data())];
const cube = (x: Tensor) => x.mul(x).mul(x).sum();

describe('grad', () => {
  test('is by the first argument where none is named', async () => {
    const [x, y] = [device.tensor([1, 2]), device.tensor([3, 4])];
    const by = grad((a: Tensor, b: Tensor) => a.mul(a).mul(b).sum())(x, y);
    expect(by).toHaveLength(1);
    expect(await list(by[0]!)).toEqual([6, 16]);
  });

  test('has the types of the arguments that it is by', async () => {
    const model = { weight: device.tensor([3]), layers: [{ bias: device.tensor([1]) }] };
    const loss = (m: typeof model, x: Tensor) => m.weight.mul(x).add(m.layers[0]!.bias).sum();
    const { grads } = valueAndGrad(loss)(model, device.tensor([5]));
    expect(await list(grads[0].weight)).toEqual([5]);
    const [byX, byModel] = grad(loss, { argnums: [1, 0] })(model, device.tensor([5]));
    expect([await list(byX), await list(byModel.layers[0]!.bias)]).toEqual([[3], [1]]);
    const [byWeight] = gradients(loss(model, device.tensor([7])), [model.weight]);
    expect(await list(byWeight)).toEqual([7]);
  });

  test('is by the arguments that argnums names, in its order', async () => {
    const [x, y] = [device.tensor([1, 2]), device.tensor([3, 4])];
    const f = (a: Tensor, b: Tensor) => a.mul(a).mul(b).sum();
    const both = grad(f, { argnums: [1, 0] })(x, y);
    expect(await Promise.all(both.map(list))).toEqual([
      [1, 4],
      [6, 16],
    ]);
    const [second] = grad(f, { argnums: [1] })(x, y);
    expect(await list(second!)).toEqual([1, 4]);
    expect(grad(f, { argnums: [] })(x, y)).toEqual([]);
  });

  test('takes and gives trees of tensors', async () => {
    const tree = {
      layers: [{ w: device.tensor([2]) }, { w: device.tensor([3]) }],
      scale: device.tensor([5]),
      name: 'mlp',
    };
    const f = (p: typeof tree) => p.layers[0]!.w.mul(p.layers[1]!.w).mul(p.scale).sum();
    const [g] = grad(f)(tree);
    expect(await list(g!.layers[0]!.w)).toEqual([15]);
    expect(await list(g!.layers[1]!.w)).toEqual([10]);
    expect(await list(g!.scale)).toEqual([6]);
    expect((g as { name: unknown }).name).toBe('mlp'); // what is no tensor stays
  });

  test('counts uses through the argument alone, not those of a closure', async () => {
    const x = device.tensor([3]);
    const [g] = grad((a: Tensor) => a.mul(x).sum())(x);
    expect(await list(g!)).toEqual([3]);
  });

  test('of one tensor as two arguments takes each for itself', async () => {
    const x = device.tensor([3]);
    const both = grad((a: Tensor, b: Tensor) => a.mul(a).mul(b).sum(), { argnums: [0, 1] })(x, x);
    expect(await Promise.all(both.map(list))).toEqual([[18], [9]]);
  });

  test('of arguments that depend on each other is partial', async () => {
    const x = device.tensor([3]);
    const [byX, byY] = grad((a: Tensor, b: Tensor) => a.mul(b).sum(), { argnums: [0, 1] })(x, x.mul(2));
    expect(await list(byX!)).toEqual([6]);
    expect(await list(byY!)).toEqual([3]);
  });

  test('is zero by what the value does not depend on, or does only through stopGradient or steps', async () => {
    const [x, y] = [device.tensor([1.5, 2.5]), device.tensor([[1], [2]], { dtype: 'f16' })];
    const [byX, byY] = grad((a: Tensor, _: Tensor) => stopGradient(a.mul(a)).add(a.floor()).sum(), { argnums: [0, 1] })(
      x,
      y,
    );
    expect(await list(byX!)).toEqual([0, 0]);
    expect([byY!.shape, byY!.dtype]).toEqual([[2, 1], 'f16']);
    expect(await list(byY!)).toEqual([0, 0]);
  });

  test('has the shape and dtype of its argument', async () => {
    const x = device.tensor([[1, 2, 3]], { dtype: 'f16' });
    const [g] = grad((a: Tensor) => a.cast('f32').mul(a.cast('f32')).expand([4, 3]).sum())(x);
    expect([g!.shape, g!.dtype]).toEqual([[1, 3], 'f16']);
    expect(await list(g!.cast('f32'))).toEqual([8, 16, 24]);
  });

  test('of gradients: second and third order', async () => {
    const x = device.tensor([1, 2, -1]);
    const first = (a: Tensor) => grad(cube)(a)[0]!.sum();
    const second = (a: Tensor) => grad(first)(a)[0]!.sum();
    expect(await list(grad(cube)(x)[0]!)).toEqual([3, 12, 3]);
    expect(await list(grad(first)(x)[0]!)).toEqual([6, 12, -6]);
    expect(await list(grad(second)(x)[0]!)).toEqual([6, 6, 6]);
  });

  test('inside of the function that is differentiated, with a closure over the outer argument', async () => {
    const [x, y] = [device.tensor([2]), device.tensor([5])];
    // d/dx of d/dy (x^2 y^2) = d/dx 2 x^2 y
    const [g] = grad((a: Tensor) => grad((b: Tensor) => a.mul(a).mul(b).mul(b).sum())(y)[0]!.sum())(x);
    expect(await list(g!)).toEqual([40]);
  });

  test('accumulates over every use', async () => {
    const x = device.tensor([2]);
    const [g] = grad((a: Tensor) => {
      let y = a;
      for (let i = 0; i < 5; i++) y = y.add(a); // 6a
      return y.mul(a).sum();
    })(x);
    expect(await list(g!)).toEqual([24]);
  });

  test('is refused for what has none', () => {
    const x = device.tensor([1, 2]);
    const ids = device.tensor([1, 2], { dtype: 'i32' });
    expect(() => grad((a: Tensor) => a.mul(a))(x)).toThrow(/output must be a scalar, got \[2\]/);
    expect(() => grad((a: Tensor) => a.cast('f32').sum())(ids)).toThrow(/f32 and f16 tensors, got i32/);
    expect(() => grad((a: Tensor) => a.cast('i32').sum())(x)).toThrow(/f32 and f16 tensors, got i32/);
    expect(() => grad(cube, { argnums: [1] })(x)).toThrow(/argnums must name arguments in \[0, 0\], got 1/);
    expect(() => grad(cube, { argnums: [-1] })(x)).toThrow(/got -1/);
    expect(() => grad(cube, { argnums: [0.5] })(x)).toThrow(/got 0.5/);
    expect(() => grad((() => 3) as never)(x)).toThrow(/must give a tensor, got the number 3/);
  });

  test('of integer arguments that are not asked for is fine', async () => {
    const [table, ids] = [
      device.tensor([
        [1, 2],
        [3, 4],
      ]),
      device.tensor([1, 1, 0], { dtype: 'i32' }),
    ];
    const [g] = grad((t: Tensor, i: Tensor) => take(t, i).sum())(table, ids);
    expect(await list(g!)).toEqual([1, 1, 2, 2]);
  });
});

test('a function that gives a promise is refused, and its failure ends no process', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  const x = device.tensor([1, 2]);
  const later = (async () => Promise.reject(new Error('later'))) as never;
  for (const differentiate of [
    () => grad(later)(x),
    () => valueAndGrad(later)(x),
    () => vmap(later)(x),
    () => jvp(later, [x], [x]),
    () => checkpoint(later)(x),
  ] as (() => unknown)[])
    expect(differentiate).toThrow(/must give its results at once, got a promise/);
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

describe('valueAndGrad', () => {
  test('gives both from one recording', async () => {
    let calls = 0;
    const x = device.tensor([1, 2]);
    const { value, grads } = valueAndGrad((a: Tensor) => {
      calls++;
      return cube(a);
    })(x);
    expect(calls).toBe(1);
    expect(await value.item()).toBe(9);
    expect(await list(grads[0]!)).toEqual([3, 12]);
  });

  test('consumes and holds nothing', async () => {
    const x = device.tensor([1, 2]);
    const { live } = device.memory();
    const { grads } = valueAndGrad(cube)(x);
    await list(grads[0]!);
    expect(device.memory().live).toBeLessThanOrEqual(live);
    expect(await list(x)).toEqual([1, 2]);
  });
});

describe('gradients', () => {
  test('are by leaves, variables and intermediate results', async () => {
    const [x, v] = [device.tensor([2]), device.variable([3])];
    const middle = x.mul(v);
    const [byX, byV, byMiddle, byOutput] = await Promise.all(
      (() => {
        const output = middle.mul(middle).sum();
        return gradients(output, [x, v, middle, output]);
      })().map(list),
    );
    expect([byX, byV, byMiddle, byOutput]).toEqual([[36], [24], [12], [1]]);
    v.dispose();
  });

  test('are total: ways through other tensors that are asked for count', async () => {
    const x = device.tensor([2]);
    const y = x.mul(x);
    const z = y.mul(3);
    const [byX, byY, byZ] = await Promise.all(gradients(z.add(x).sum(), [x, y, z]).map(list));
    expect([byX, byY, byZ]).toEqual([[13], [3], [1]]);
  });

  test('go through operations with several outputs, used in part or whole', async () => {
    const split = defineOp<null>({
      name: 'squareAndCube',
      shape: ([x]) => [x!, x!],
      gradient: ({ inputs: [x], outputGradients: [square, cubed] }) => {
        const parts = [square?.mul(x!).mul(2), cubed?.mul(x!).mul(x!).mul(3)].filter((part) => part !== undefined);
        return [parts.reduce((a, b) => a.add(b))];
      },
      decompose: ([x]) => [x!.mul(x!), x!.mul(x!).mul(x!)],
    });
    const withoutRule = defineOp<null>({ name: 'same', shape: split.shape, decompose: split.decompose! });
    for (const op of [split, withoutRule]) {
      const x = device.tensor([2, -1]);
      const [square, cubed] = record(op, [x], null) as [Tensor, Tensor];
      expect(await list(gradients(square.sum(), [x])[0]!)).toEqual([4, -2]);
      expect(await list(gradients(cubed.sum(), [x])[0]!)).toEqual([12, 3]);
      expect(await list(gradients(square.mul(cubed).sum(), [x])[0]!)).toEqual([80, 5]);
      expect(await list(gradients(cubed.sum(), [cubed, square])[1]!)).toEqual([0, 0]);
    }
  });

  test('of a decomposition are by its own inputs alone, though these depend on each other', async () => {
    const product = defineOp<null>({
      name: 'product',
      shape: ([x]) => [x!],
      decompose: ([a, b]) => [a!.mul(b!).mul(b!)],
    });
    const x = device.tensor([3]);
    const y = x.mul(x); // product(x, y) = x^5
    const output = record(product, [x, y], null)[0]!.sum();
    expect(await list(gradients(output, [x])[0]!)).toEqual([405]);
    expect(await list(gradients(output, [y])[0]!)).toEqual([2 * 3 * 9]);
  });

  test('skip what a rule leaves out', async () => {
    const op = defineOp<null>({
      name: 'leftOut',
      shape: ([x]) => [x!],
      gradient: ({ outputGradients: [g], needs }) => {
        expect(needs).toEqual([true, false]);
        return [g, undefined];
      },
      decompose: ([a, b]) => [a!.add(b!)],
    });
    const [x, y] = [device.tensor([1]), device.tensor([2])];
    expect(await list(gradients(record(op, [x, y], null)[0]!.sum(), [x])[0]!)).toEqual([1]);
  });
});

/** A smooth operation on matrices of 3 by 3 that stays in a moderate range. */
const unary: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  tanh: (x) => x.tanh(),
  sine: (x) => x.sin(),
  sigmoid: (x) => x.sigmoid(),
  silu: (x) => silu(x),
  gaussian: (x) => x.mul(x).neg().exp(),
  softmax: (x) => x.softmax(-1),
  columns: (x) => x.softmax(0),
  logistic: (x) => x.exp().add(1).log(),
  root: (x) => x.mul(x).add(1).sqrt(),
  inverseRoot: (x) => x.mul(x).add(1).rsqrt(),
  power: (x) => x.mul(x).add(1).pow(-0.7),
  centred: (x) => x.sub(x.mean(0, { keepDims: true })),
  transposed: (x) => x.transpose(),
  rolled: (x) => concat([x.slice(1, 1), x.slice(1, 0, 1)], 1),
  rows: (x) => take(x, x.device.tensor([2, 0, 2], { dtype: 'i32' })),
  regrouped: (x) => x.reshape([9]).reshape([3, 3]).permute([1, 0]),
  norm: (x) => rmsNorm(x, x.device.tensor([1, 0.5, 2]), 0.1),
  masked: (x) => where(x.device.tensor([true, false, true]), x, x.mul(x).mul(0.1)),
  spread: (x) => x.sum(1, { keepDims: true }).expand([3, 3]).mul(0.3),
};
const binary: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  div: (a, b) => a.div(b.mul(b).add(1)),
  matmul: (a, b) => a.matmul(b).mul(0.5),
  matmulTransposed: (a, b) => a.matmul(b, { transposeA: true, transposeB: true }).mul(0.5),
  row: (a, b) => a.add(b.mean(0)),
};
type Instruction = readonly [name: string, a: number, b: number];
const program: fc.Arbitrary<readonly Instruction[]> = fc.array(
  fc.tuple(fc.constantFrom(...Object.keys(unary), ...Object.keys(binary)), fc.nat(9), fc.nat(9)),
  { minLength: 2, maxLength: 8 },
);

/** Runs instructions over a growing list of values; the result is a weighted mean of the last ones. */
function interpret(instructions: readonly Instruction[], inputs: readonly Tensor[]): Tensor {
  const values = [...inputs];
  for (const [name, a, b] of instructions) {
    const pick = (i: number) => values[values.length - 1 - (i % values.length)]!; // recent ones first
    values.push(unary[name]?.(pick(a)) ?? binary[name]!(pick(a), pick(b)));
  }
  const [last, before] = [values.at(-1)!, values.at(-2)!];
  return last.mul(before.tanh()).add(last).mean();
}

const matrix = (seed: number, scale = 1) =>
  device.tensor(
    Array.from({ length: 9 }, (_, i) => Math.sin(seed * 7.13 + i * 2.39) * scale),
    { shape: [3, 3] },
  );
const dot = (a: Tensor, b: Tensor) => a.mul(b).sum();

describe('against central differences in float64, over random programs', () => {
  const step = 1e-4;
  const near = (actual: number, expected: number) =>
    expect(Math.abs(actual - expected), `${actual} and ${expected}`).toBeLessThan(
      2e-5 * Math.max(1, Math.abs(expected)),
    );

  test('first derivatives along a direction', async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.nat(50), async (instructions, seed) => {
        const [x, y, dx, dy] = [0, 1, 2, 3].map((k) => matrix(seed + k)) as [Tensor, Tensor, Tensor, Tensor];
        const f = (a: Tensor, b: Tensor) => interpret(instructions, [a, b]);
        const [gx, gy] = grad(f, { argnums: [0, 1] })(x, y);
        const exact = dot(gx!, dx).add(dot(gy!, dy));
        const at = (h: number) => f(x.add(dx.mul(h)), y.add(dy.mul(h)));
        near(
          await exact.item(),
          await at(step)
            .sub(at(-step))
            .div(2 * step)
            .item(),
        );
      }),
      runs(150),
    );
  });

  test('second derivatives along two directions', async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.nat(50), async (instructions, seed) => {
        const [x, dx, ex] = [0, 1, 2].map((k) => matrix(seed + k, 0.8)) as [Tensor, Tensor, Tensor];
        const f = (a: Tensor) => interpret(instructions, [a, x]);
        const slope = (a: Tensor) => dot(grad(f)(a)[0]!, dx);
        const [curvature] = grad(slope)(x);
        const at = (h: number) => slope(x.add(ex.mul(h)));
        near(
          await dot(curvature!, ex).item(),
          await at(step)
            .sub(at(-step))
            .div(2 * step)
            .item(),
        );
      }),
      runs(60),
    );
  });

  test('of a loss of a language model by its logits', async () => {
    const logits = matrix(5, 2);
    const targets = device.tensor([2, -100, 0], { dtype: 'i32' });
    const f = (a: Tensor) => crossEntropy(a, targets);
    const [g] = grad(f)(logits);
    expect((await list(g!)).slice(3, 6)).toEqual([0, 0, 0]); // the ignored row
    for (let i = 0; i < 9; i++) {
      const direction = device.tensor(
        Float32Array.from({ length: 9 }, (_, k) => (k === i ? 1 : 0)),
        { shape: [3, 3] },
      );
      const at = (h: number) => f(logits.add(direction.mul(h)));
      near(
        (await list(g!))[i]!,
        await at(step)
          .sub(at(-step))
          .div(2 * step)
          .item(),
      );
    }
  });
});
