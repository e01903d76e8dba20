import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTrainStep } from '../step/train-step.ts';
import { adamw } from './adam.ts';
import { chain } from './chain.ts';
import { clipByGlobalNorm, globalNorm } from './clip.ts';
import type { Optimizer } from './optimizer.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** Values that look random and are the same in every run. */
function numbers(count: number, seed: number, scale = 1): number[] {
  return Array.from({ length: count }, (_, i) => Math.fround(Math.sin(seed * 78.233 + i * 12.9898) * scale));
}

/** AdamW by hand, in float64, in the order of PyTorch's single-tensor path. */
class HandAdamW {
  readonly m: number[];
  readonly v: number[];
  readonly w: number[];
  t = 0;
  constructor(w: readonly number[]) {
    this.w = [...w];
    this.m = w.map(() => 0);
    this.v = w.map(() => 0);
  }
  step(g: readonly number[], lr: number, [b1, b2]: readonly [number, number], eps: number, decay: number): void {
    this.t++;
    g.forEach((gi, i) => {
      this.w[i]! *= 1 - lr * decay;
      this.m[i] = b1 * this.m[i]! + (1 - b1) * gi;
      this.v[i] = b2 * this.v[i]! + (1 - b2) * gi * gi;
      const mHat = this.m[i]! / (1 - b1 ** this.t);
      const vHat = this.v[i]! / (1 - b2 ** this.t);
      this.w[i]! -= (lr * mHat) / (Math.sqrt(vHat) + eps);
    });
  }
}

/** A step whose gradients are the batch itself: the loss is linear in the weights. */
function linearStep(optimizer: Optimizer, matrix: readonly number[], bias: readonly number[]) {
  const w = device.variable(Float32Array.from(matrix), { shape: [2, 3] });
  const b = device.variable(Float32Array.from(bias), { shape: [3] });
  const model = {
    parameters: { w, b },
    forward: (batch: { readonly gw: Tensor; readonly gb: Tensor }) => w.mul(batch.gw).sum().add(b.mul(batch.gb).sum()),
  };
  const step = createTrainStep({ model, loss: (output) => output, optimizer });
  const run = (gw: readonly number[], gb: readonly number[]) =>
    step({ gw: { data: Float32Array.from(gw), shape: [2, 3] }, gb: Float32Array.from(gb) });
  const dispose = () => {
    step.dispose();
    w.dispose();
    b.dispose();
  };
  return { w, b, run, dispose };
}

const close = (actual: Iterable<number>, expected: readonly number[], tolerance: number) => {
  const got = [...actual];
  expect(got).toHaveLength(expected.length);
  got.forEach((value, i) => {
    expect(Math.abs(value - expected[i]!), `at ${i}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(expected[i]!)),
    );
  });
};

describe('adamw', () => {
  test.each([
    { betas: [0.9, 0.95] as const, epsilon: 1e-8, weightDecay: 0.1 },
    { betas: [0.9, 0.999] as const, epsilon: 1e-3, weightDecay: 0 },
    { betas: [0, 0] as const, epsilon: 1e-8, weightDecay: 0.01 },
  ])('follows float64 AdamW for 40 steps of a changing rate: %o', async ({ betas, epsilon, weightDecay }) => {
    const rate = (step: number) => 0.01 / (1 + step);
    const [matrix, bias] = [numbers(6, 1), numbers(3, 2)];
    const trained = linearStep(adamw({ learningRate: rate, betas, epsilon, weightDecay }), matrix, bias);
    const [handW, handB] = [new HandAdamW(matrix), new HandAdamW(bias)];
    for (let step = 0; step < 40; step++) {
      const [gw, gb] = [numbers(6, 10 + step, 2), numbers(3, 60 + step, 0.01)];
      const { learningRate } = await trained.run(gw, gb);
      expect(learningRate).toBe(rate(step));
      handW.step(gw, rate(step), betas, epsilon, weightDecay);
      handB.step(gb, rate(step), betas, epsilon, 0); // one dimension: no decay
    }
    close(await trained.w.data(), handW.w, 1e-6);
    close(await trained.b.data(), handB.w, 1e-6);
    trained.dispose();
  });

  test('has the defaults of PyTorch', async () => {
    const [matrix, bias] = [numbers(6, 3), numbers(3, 4)];
    const trained = linearStep(adamw({ learningRate: 1e-3 }), matrix, bias);
    const handW = new HandAdamW(matrix);
    for (let step = 0; step < 5; step++) {
      await trained.run(numbers(6, step), numbers(3, step));
      handW.step(numbers(6, step), 1e-3, [0.9, 0.999], 1e-8, 0.01);
    }
    close(await trained.w.data(), handW.w, 1e-6);
    trained.dispose();
  });

  test('decays what the predicate names, by name too', async () => {
    const trained = linearStep(
      adamw({ learningRate: 0.5, weightDecay: 0.5, decays: ({ name }) => name === 'b' }),
      numbers(6, 1),
      numbers(3, 2),
    );
    await trained.run(new Array<number>(6).fill(0), new Array<number>(3).fill(0));
    close(await trained.w.data(), numbers(6, 1), 0);
    close(
      await trained.b.data(),
      numbers(3, 2).map((x) => x * 0.75),
      1e-6,
    );
    trained.dispose();
  });

  test('is pure: the same tensors twice give the same, and nothing is kept', async () => {
    const optimizer = adamw({ learningRate: 0.1 });
    const live = device.memory().live;
    const value = device.ones([2, 2]);
    const parameters = [{ name: 'w', value }];
    const state = optimizer.init(parameters, (_, shape) => device.zeros(shape));
    const scalars = optimizer.scalars(0).map((x) => device.full([], x));
    const once = optimizer.update([device.full([2, 2], 3)], state, parameters, { scalars });
    const twice = optimizer.update([device.full([2, 2], 3)], state, parameters, { scalars });
    expect([...(await once.parameters[0]!.data())]).toEqual([...(await twice.parameters[0]!.data())]);
    expect([...(await once.parameters[0]!.data())][0]).toBeCloseTo(1 - 0.1 * 0.01 - 0.1, 6); // a first step has length lr
    expect([...(await state.firstMoments[0]!.data())]).toEqual([0, 0, 0, 0]);
    expect(device.memory().live).toBeLessThanOrEqual(live);
  });

  test('keeps f32 moments for f16 parameters', async () => {
    const w = device.variable([[1, 2]], { dtype: 'f16' });
    const model = { parameters: { w }, forward: (batch: { readonly x: Tensor }) => w.mul(batch.x.cast('f16')).sum() };
    const optimizer = adamw({ learningRate: 0.25, weightDecay: 0 });
    const step = createTrainStep({ model, loss: (y) => y, optimizer });
    const optimizerBytes = device.memory().owners.find(({ owner }) => owner === 'optimizer')?.bytes;
    expect(optimizerBytes).toBe(2 * 2 * 8); // the reference device holds eight bytes a value
    await step({ x: { data: Float32Array.of(1, -1), shape: [1, 2] } });
    expect(
      await Promise.all(
        [0, 1].map((i) =>
          w
            .slice(1, i, i + 1)
            .reshape([])
            .item(),
        ),
      ),
    ).toEqual([0.75, 2.25]);
    step.dispose();
    w.dispose();
  });

  test.each([
    [{ learningRate: -1 }, /learningRate must not be negative, got -1/],
    [{ learningRate: 1, betas: [1, 0.9] as const }, /betas must be in \[0, 1\), got 1/],
    [{ learningRate: 1, epsilon: 0 }, /epsilon must be positive, got 0/],
    [{ learningRate: 1, weightDecay: -1 }, /weightDecay must not be negative, got -1/],
  ])('refuses %o', (options, message) => {
    expect(() => adamw(options)).toThrow(message);
  });
});

describe('clipByGlobalNorm', () => {
  const clipped = async (maxNorm: number, values: readonly (readonly number[])[]) => {
    const gradientsIn = values.map((list) => device.tensor([...list]));
    const { gradients: out } = clipByGlobalNorm(maxNorm).update(gradientsIn, [], [], { scalars: [] });
    const result = await Promise.all(out.map(async (g) => [...(await g.data())]));
    for (const g of gradientsIn) g.dispose();
    return result;
  };

  test('scales all gradients by one factor', async () => {
    const [a, b] = await clipped(1, [[3], [0, 4]]);
    close(a!, [3 / (5 + 1e-6)], 1e-6);
    close(b!, [0, 4 / (5 + 1e-6)], 1e-6);
  });

  test('leaves small gradients exactly as they are', async () => {
    expect(await clipped(10, [[3], [0, 4]])).toEqual([[3], [0, 4]]);
    expect(await clipped(1, [[0], [0, 0]])).toEqual([[0], [0, 0]]);
  });

  test('refuses norms that are not positive', () => {
    expect(() => clipByGlobalNorm(0)).toThrow(/must be positive, got 0/);
    expect(() => clipByGlobalNorm(Number.NaN)).toThrow(/must be positive, got NaN/);
  });

  test('measures the norm over all gradients, f16 ones in f32', async () => {
    const [a, b] = [device.tensor([300, 0], { dtype: 'f16' }), device.tensor([[400]])];
    expect(await globalNorm([a, b]).item()).toBe(500); // 300 squared is beyond f16
    a.dispose();
    b.dispose();
  });
});

describe('chain', () => {
  test("clips before AdamW, and keeps the parts' scalars and states apart", async () => {
    const [matrix, bias] = [numbers(6, 1), numbers(3, 2)];
    const rate = 0.02;
    const scaled = {
      init: (_: unknown, allocate: (name: string, shape: readonly number[]) => Tensor) => ({
        sum: allocate('sum', []),
      }),
      scalars: (step: number) => [step + 1],
      update: (
        list: readonly Tensor[],
        state: { readonly sum: Tensor },
        _: unknown,
        { scalars }: { readonly scalars: readonly Tensor[] },
      ) => ({ gradients: list.map((g) => g.mul(scalars[0]!)), state: { sum: state.sum.add(scalars[0]!) } }),
    };
    const optimizer = chain(scaled as never, clipByGlobalNorm(1), adamw({ learningRate: rate, betas: [0.9, 0.95] }));
    const trained = linearStep(optimizer, matrix, bias);
    const [handW, handB] = [new HandAdamW(matrix), new HandAdamW(bias)];
    for (let step = 0; step < 10; step++) {
      const all = numbers(9, 20 + step);
      const result = await trained.run(all.slice(0, 6), all.slice(6));
      expect(result.gradientNorm).toBeCloseTo(Math.hypot(...all), 5); // before the chain
      const factor = (step + 1) * Math.min(1, 1 / (Math.hypot(...all.map((g) => g * (step + 1))) + 1e-6));
      handW.step(
        all.slice(0, 6).map((g) => g * factor),
        rate,
        [0.9, 0.95],
        1e-8,
        0.01,
      );
      handB.step(
        all.slice(6).map((g) => g * factor),
        rate,
        [0.9, 0.95],
        1e-8,
        0,
      );
    }
    close(await trained.w.data(), handW.w, 1e-6);
    close(await trained.b.data(), handB.w, 1e-6);
    trained.dispose();
  });
});
