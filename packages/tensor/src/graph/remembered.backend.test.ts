import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { gradients } from '../autograd/gradients.ts';
import { crossEntropy } from '../ops/nn.ts';
import type { Device } from './device.ts';
import type { Tensor } from './tensor.ts';

/** A network of two layers, as people write it first. */
function network(device: Device) {
  const ramp = (shape: [number, number], step: number) =>
    device.tensor(
      Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(i * step)),
      { shape },
    );
  const x = ramp([8, 4], 0.7);
  const labels = device.tensor([0, 1, 2, 0, 1, 2, 0, 1], { dtype: 'i32' });
  const loss = ([w1, w2]: readonly Tensor[]) => crossEntropy(x.matmul(w1!).relu().matmul(w2!), labels);
  return { loss, weights: [ramp([4, 16], 1.3), ramp([16, 3], 2.1)], inputs: [x, labels] };
}

conformance('values that reads keep', (device) => {
  /** Losses of some steps, with the number of operations of the largest program that was computed. */
  async function train(steps: number, order: 'update first' | 'read first'): Promise<number[]> {
    const { loss, weights, inputs } = network(device());
    let now: readonly Tensor[] = weights;
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) {
      const value = loss(now);
      if (order === 'read first') losses.push(await value.item());
      const slopes = gradients(value, now);
      now = now.map((w, i) => w.sub(slopes[i]!.mul(0.5)));
      if (order === 'update first') losses.push(await value.item());
    }
    for (const input of [...weights, ...inputs]) input.dispose();
    return losses;
  }

  test('a loop of weights that are made of weights computes what one that realizes them does', async () => {
    const { loss, weights, inputs } = network(device());
    let now: readonly Tensor[] = weights;
    const expected: number[] = [];
    for (let step = 0; step < 6; step++) {
      const value = loss(now);
      const slopes = gradients(value, now);
      const next = await device().realize(now.map((w, i) => w.sub(slopes[i]!.mul(0.5))));
      expected.push(await value.item());
      for (const w of now) w.dispose();
      now = next;
    }
    for (const tensor of [...now, ...inputs]) tensor.dispose();
    for (const order of ['update first', 'read first'] as const)
      for (const [i, value] of (await train(6, order)).entries()) expect(value).toBeCloseTo(expected[i]!, 4);
  });

  test('a read changes no gradient', async () => {
    const x = device().tensor([0.3, -0.2]);
    let deep = x;
    for (let i = 0; i < 20; i++) deep = deep.mul(1.01).sin();
    const loss = deep.mul(deep).sum();
    const [expected] = gradients(loss, [x]);
    const before = await expected.toArray();
    await loss.item();
    await loss.item();
    const [again] = gradients(loss, [x]);
    expect(await again.toArray()).toEqual(before);
    const [byDeep] = gradients(loss, [deep]);
    expect((await byDeep.toArray()) as number[]).toEqual(
      ((await deep.toArray()) as number[]).map((value) => expect.closeTo(2 * value, 5)),
    );
    x.dispose();
  });

  test('what depends on a variable is computed anew', async () => {
    const w = device().variable([1, 2]);
    let y = w.mul(1);
    for (let i = 0; i < 40; i++) y = y.add(1);
    const [sum, other] = [y.sum(), y.mul(2)];
    expect(await sum.item()).toBe(83);
    await device().realize([], [w.assign(device().tensor([0, 0]))]);
    expect(await sum.item()).toBe(80);
    expect(await other.toArray()).toEqual([80, 80]);
    w.dispose();
  });

  test('memory stays bounded, and is given back', async () => {
    await device().trim();
    const before = device().memory().live;
    await train(8, 'update first');
    await device().trim();
    expect(device().memory().live).toBeLessThanOrEqual(before);
  });
});
