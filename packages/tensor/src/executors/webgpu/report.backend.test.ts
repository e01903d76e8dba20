import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu } from '../../../../../test-support/own-webgpu.ts';
import { test } from '../../../../../test-support/suite.ts';
import { isHeddleError } from '../../checks/errors.ts';
import { compile } from '../../compile/compile.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { take } from '../../ops/indexing/gather.ts';

onWebGpu('reports', (device) => {
  const kernelsOf = async (f: (x: Tensor) => unknown, shape: (number | string)[] = ['T', 16]) => {
    const step = compile(f, { device: device(), inputs: [{ shape }], symbols: { T: 8 } });
    const { kernels } = await step.report();
    step.dispose();
    return kernels;
  };

  test('count what a kernel moves and computes', async () => {
    const [sum] = await kernelsOf((x) => x.mul(2).add(x).sum(1), [8, 16]);
    // three operations a value: multiply, add, and add to the sum
    expect(sum).toMatchObject({ bytes: 4 * (8 * 16 + 8), flops: 3 * 8 * 16 });
    const [product] = await kernelsOf((x) => x.matmul(x, { transposeB: true }).mul(0.5), [8, 16]);
    expect(product).toMatchObject({ flops: 2 * 8 * 8 * 16 + 8 * 8 });
    const table = device().tensor(new Float32Array(1000 * 16), { shape: [1000, 16] });
    const [rows] = await kernelsOf((x) => take(table, x.sum(1).cast('i32'), 0), [8, 16]).then((all) => all.slice(-1));
    // eight rows of a thousand
    expect(rows!.bytes).toBeLessThan(4 * 2.5 * 8 * 16);
    table.dispose();
  });

  test('show that what is equal is computed once, what is dead not at all, and constants take no kernel', async () => {
    expect(await kernelsOf((x) => x.exp().matmul(x.exp(), { transposeB: true }))).toHaveLength(2);
    expect(
      await kernelsOf((x) => {
        x.matmul(x, { transposeB: true }).softmax();
        return x.add(1);
      }),
    ).toHaveLength(1);
    const constants = (x: Tensor) =>
      x
        .mul(
          x.device
            .full([1, 16], 3)
            .add(x.device.ones([16]))
            .sqrt(),
        )
        .add(x.device.arange(16, 'f32'));
    const [only, ...more] = await kernelsOf(constants);
    expect(more).toEqual([]);
    expect(only!.reads.map(({ name }) => name)).toEqual(['input 0']);
    // a product, its scale, bias, activation and residual, and a reduction with what goes in and comes out
    const weight = device().tensor(new Float32Array(256), { shape: [16, 16] });
    const block = (x: Tensor) =>
      x
        .matmul(weight)
        .mul(0.5)
        .add(x.device.ones([16]))
        .relu()
        .add(x);
    expect(await kernelsOf(block)).toHaveLength(1);
    expect(await kernelsOf((x) => x.sub(1).mul(x).mean(1, { keepDims: true }).add(1e-5).rsqrt())).toHaveLength(1);
    weight.dispose();
  });

  test('and what is measured agree in kernels and sizes', async (context) => {
    const own = await openOwnWebGpu();
    const step = compile((x: Tensor) => x.matmul(x, { transposeB: true }).softmax(), {
      device: own,
      inputs: [{ shape: ['T', 16] }],
      symbols: { T: 8 },
    });
    const report = await step.report({ T: 5 });
    expect(report.sizes).toBe('T<=8');
    const times = await step.profile([new Float32Array(5 * 16)]).catch((error: unknown) => {
      if (isHeddleError(error, 'ERR_DEVICE')) context.skip(error.message);
      throw error;
    });
    expect(times.map(({ kernel }) => kernel)).toEqual(report.kernels.map(({ kernel }) => kernel));
    // at the sizes of the run, the report at those of the plan
    expect(times[0]!.flops).toBe(2 * 5 * 5 * 16);
    expect(report.kernels[0]!.flops).toBe(2 * 8 * 8 * 16);
    expect(times[0]!.bytes).toBeLessThan(report.kernels[0]!.bytes);
    await own.dispose();
  });
});
