import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu } from '../../../../../test-support/own-webgpu.ts';
import { test } from '../../../../../test-support/suite.ts';
import { compile } from '../../compile/compile.ts';
import type { Device } from '../../graph/device.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { silu } from '../../ops/elementwise/activation.ts';
import { matmul } from '../../ops/matmul/matmul.ts';
import { linear } from '../../ops/nn.ts';

const wave = (length: number, speed: number) => Float32Array.from({ length }, (_, i) => Math.sin(speed * (i + 1)));

/** Three products of one input with different widths, a norm of another input, and rows that two variables get. */
function stepOn(device: Device) {
  const weight = (out: number, speed: number) => device.tensor(wave(out * 16, speed), { shape: [out, 16] });
  const [q, k, v] = [weight(24, 0.3), weight(8, 0.7), weight(8, 1.1)];
  const pool = (name: string) => device.variable(new Float32Array(10 * 8).fill(-1), { name, shape: [10, 8] });
  const [keys, values] = [pool('keys'), pool('values')];
  const step = compile(
    (x: Tensor, rows: Tensor) => {
      const [a, b, c] = [linear(x, q), silu(linear(x, k)), linear(x, v).mul(2)];
      return { a, b, c, updates: [keys.scatter(rows, b), values.scatter(rows, c)] };
    },
    {
      device,
      inputs: [{ shape: ['T', 16] }, { shape: ['T'], dtype: 'i32' }],
      symbols: { T: 8 },
    },
  );
  return { step, keys, values };
}

onWebGpu('dispatches that several kernels share', () => {
  test('give what each kernel gives alone, for every size', async () => {
    const run = async (fuse: boolean) => {
      const device = await openOwnWebGpu({ fuse });
      const { step, keys, values } = stepOn(device);
      const all: number[][] = [];
      for (const T of [1, 3, 8, 2]) {
        const rows = Int32Array.from({ length: T }, (_, i) => (3 * i + T) % 10);
        const { a, b, c } = await step(wave(T * 16, 0.5 + T), rows);
        for (const x of [a, b, c, keys, values]) all.push([...(await x.data())]);
      }
      const kernels = step.kernelCount()!;
      await device.dispose();
      return { all, kernels };
    };
    const [shared, apart] = [await run(true), await run(false)];
    expect(shared.kernels).toBe(2); // the products, and the rows
    expect(apart.kernels).toBeGreaterThan(6);
    shared.all.forEach((values, i) => {
      values.forEach((value, j) => {
        expect(value).toBeCloseTo(apart.all[i]![j]!, 5);
      });
    });
  });

  test('are of kernels that do not depend on each other', async () => {
    const device = await openOwnWebGpu();
    const state = device.variable(Float32Array.of(1, 2, 3, 4), { name: 'state' });
    const step = compile(
      (x: Tensor) => {
        const read = matmul(state.reshape([1, 4]), x); // before the update of this run
        const behind = matmul(read, x);
        return { read, behind, updates: [state.assign(x.sum(0))] };
      },
      { device, inputs: [{ shape: [4, 4] }] },
    );
    const x = Float32Array.from({ length: 16 }, (_, i) => (i % 5) - 1);
    const expected = (row: readonly number[]) =>
      [0, 1, 2, 3].map((j) => row.reduce((s, r, i) => s + r * x[4 * i + j]!, 0));
    let before = [1, 2, 3, 4];
    for (let run = 0; run < 3; run++) {
      const { read, behind } = await step(x);
      expect([...(await read.data())]).toEqual(expected(before));
      expect([...(await behind.data())]).toEqual(expected(expected(before)));
      before = expected([1, 1, 1, 1]);
      expect([...(await state.data())]).toEqual(before);
    }
    await device.dispose();
  });

  test('are of none that reads what another of them writes, the last as little as the first', async () => {
    const run = async (fuse: boolean) => {
      const device = await openOwnWebGpu({ fuse });
      const weight = (out: number, inner: number, speed: number) =>
        device.tensor(wave(out * inner, speed), { shape: [out, inner] });
      const [q, k, next] = [weight(24, 16, 0.3), weight(8, 16, 0.7), weight(8, 8, 1.1)];
      const step = compile(
        (x: Tensor) => {
          const [a, b] = [linear(x, q), linear(x, k)];
          return { a, b, c: linear(b, next) };
        },
        { device, inputs: [{ shape: [1, 16] }] },
      );
      const { a, b, c } = await step(wave(16, 0.5));
      const values = [...(await a.data()), ...(await b.data()), ...(await c.data())];
      const kernels = step.kernelCount()!;
      await device.dispose();
      return { values, kernels };
    };
    const [shared, apart] = [await run(true), await run(false)];
    expect([shared.kernels, apart.kernels]).toEqual([2, 3]); // the first two products, and the one that reads one of them
    shared.values.forEach((value, i) => {
      expect(value).toBeCloseTo(apart.values[i]!, 5);
    });
  });

  test('are not of tiles, whose values are in registers', async () => {
    const [E, rows] = [64, 20];
    const run = async (fuse: boolean) => {
      const device = await openOwnWebGpu({ fuse });
      const shaped = (out: number, speed: number) => device.tensor(wave(out * E, speed), { shape: [out, E] });
      const weights = [shaped(64, 0.3), shaped(32, 0.7), shaped(32, 1.1)];
      const step = compile((x: Tensor) => weights.map((w) => linear(x, w).add(1)), {
        device,
        inputs: [{ shape: [rows, E] }],
      });
      const values: number[] = [];
      for (const y of await step(wave(rows * E, 0.9))) values.push(...(await y.data()));
      const kernels = (await step.report()).kernels.filter(({ kernel }) => kernel.includes('matmul'));
      await device.dispose();
      return { values, kernels: kernels.length };
    };
    const [fused, apart] = [await run(true), await run(false)];
    expect([fused.kernels, apart.kernels]).toEqual([3, 3]);
    fused.values.forEach((value, i) => {
      expect(value).toBeCloseTo(apart.values[i]!, 4);
    });
  });

  test('are named in reports, with the work of all', async () => {
    const device = await openOwnWebGpu();
    const { step } = stepOn(device);
    await step.prepare({ T: 1 });
    const [products] = (await step.report({ T: 1 })).kernels;
    expect(products!.kernel).toMatch(/matmul.* \| /);
    expect(products!.workgroups[2]).toBe(3);
    expect(products!.flops).toBeGreaterThanOrEqual(2 * 16 * (24 + 8 + 8));
    expect(products!.writes.length).toBe(3);
    await device.dispose();
  });
});
