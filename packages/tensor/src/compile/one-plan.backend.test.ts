import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import type { Tensor } from '../graph/tensor.ts';
import { matmul } from '../ops/matmul/matmul.ts';
import { softmax } from '../ops/rows/softmax.ts';
import { compile } from './compile.ts';

conformance('one plan for all sizes', (device) => {
  test('gives each row the same bits whatever the number of rows, on WebGPU by the same kernels', async () => {
    const [M, depth, N] = [40, 96, 24];
    const random = (count: number, by: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * by) * 3);
    const w = device().tensor(random(depth * N, 0.7), { shape: [depth, N] });
    const step = compile((x: Tensor) => softmax(matmul(x, w), -1), {
      device: device(),
      inputs: [{ shape: ['T', depth] }],
      symbols: { T: M },
      onePlan: true,
    });
    const x = random(M * depth, 0.3);
    const whole = (await (await step(x)).data()) as Float32Array;
    for (const [from, to] of [
      [0, 1],
      [7, 8],
      [3, 9],
      [5, 22],
    ] as const) {
      const part = (await (await step(x.slice(from * depth, to * depth))).data()) as Float32Array;
      const expected = whole.slice(from * N, to * N);
      if (backendName.startsWith('webgpu')) expect(part).toEqual(expected);
      else for (const [i, value] of part.entries()) expect(value).toBeCloseTo(expected[i]!, 5);
    }
    if (backendName.startsWith('webgpu')) expect(step.explain().match(/T<=\d+/g)).toEqual(['T<=40']);
    step.dispose();
    w.dispose();
  });

  test('is true or false, and needs to know the sizes', () => {
    const double = (x: Tensor) => x.mul(2);
    expect(() => compile(double, { onePlan: 'yes' as never })).toThrow(
      'compile: onePlan must be true or false, got the string yes',
    );
    expect(() => compile(double, { onePlan: true })).toThrow('compile: onePlan needs inputs');
    expect(() => compile(double, { onePlan: false })).not.toThrow();
  });
});
