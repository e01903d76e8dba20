import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../../test-support/suite.ts';
import { gradients } from '../../autograd/gradients.ts';
import { compile } from '../../compile/compile.ts';
import { f16ToF32, f32ToF16 } from '../../float16.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { decodeFormat } from '../../quantized/decode.ts';
import { quantize } from '../../quantized/quantize.ts';
import { expertMatmulCases } from './expert-matmul.cases.ts';
import { expertMatmul } from './expert-matmul.ts';

operations('products by experts', expertMatmulCases);

conformance('products of many rows by experts', (device) => {
  /** Rows by their experts in float64. */
  const wanted = (x: Float32Array, w: Float32Array, experts: Int32Array, [K, M]: readonly [number, number]) =>
    Array.from(experts).flatMap((expert, row) =>
      Array.from({ length: M }, (_, m) => {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += x[row * K + k]! * w[(expert * M + m) * K + k]!;
        return sum;
      }),
    );

  for (const dtype of ['f16', 'q8_0', 'mxfp4'] as const)
    test(`with matrices of ${dtype}, and whatever another row or an expert of nobody holds`, async (context) => {
      if (dtype !== 'f16') leaveToNode(context);
      const [T, N, K, M] = [45, 4, 32, 36];
      const values = Float32Array.from({ length: N * M * K }, (_, i) => Math.sin(i * 0.731) * 0.5);
      const shape = [N, M, K];
      const data = dtype === 'f16' ? f32ToF16(values) : quantize(values, dtype);
      const stored = device().tensor(data, { shape, dtype });
      const held = dtype === 'f16' ? f16ToF32(data as Uint16Array) : decodeFormat(dtype, data as Uint8Array, shape);
      const x = Float32Array.from({ length: T * K }, (_, i) => Math.cos(i * 1.37));
      const experts = Int32Array.from({ length: T }, (_, i) => [0, 3, 1, 3, 3][i % 5]!);
      const bad = 7;
      x.fill(Number.NaN, bad * K, (bad + 1) * K);
      const step = compile(({ rows, named }: { rows: Tensor; named: Tensor }) => expertMatmul(rows, stored, named), {
        device: device(),
        inputs: [{ rows: { shape: ['T', K] }, named: { shape: ['T', 1], dtype: 'i32' } }],
        symbols: { T: 64 },
      });
      const y = await step({ rows: x, named: experts });
      expect(y.shape).toEqual([T, 1, M]);
      const expected = wanted(x, held, experts, [K, M]);
      const got = (await y.data()) as Float32Array;
      expect(got.subarray(bad * M, (bad + 1) * M).every(Number.isNaN)).toBe(true);
      got.forEach((value, i) => {
        if (Math.floor(i / M) !== bad) expect(Math.abs(value - expected[i]!)).toBeLessThan(2e-5);
      });
      if (backendName.startsWith('webgpu')) expect(step.explain()).toContain('expertMatmul.tiles');
      step.dispose();
      stored.dispose();
    });

  test('gradients with respect to the rows and the matrices', async () => {
    const [T, N, K, M] = [45, 4, 24, 36];
    const values = (count: number, step: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * step));
    const [xs, ws, cs] = [values(T * K, 1.37), values(N * M * K, 0.731), values(T * M, 0.413)];
    const experts = Int32Array.from({ length: T }, (_, i) => [0, 3, 1, 3, 3][i % 5]!);
    const x = device().tensor(xs, { shape: [T, K] });
    const w = device().tensor(ws, { shape: [N, M, K] });
    const y = expertMatmul(x, w, device().tensor(experts, { shape: [T, 1] }));
    const [byX, byW] = gradients(y.mul(device().tensor(cs, { shape: [T, 1, M] })).sum(), [x, w]);
    const [gotX, gotW] = [(await byX!.data()) as Float32Array, (await byW!.data()) as Float32Array];
    const [ofX, ofW] = [new Float64Array(T * K), new Float64Array(N * M * K)];
    for (let t = 0; t < T; t++)
      for (let m = 0; m < M; m++)
        for (let k = 0; k < K; k++) {
          const at = (experts[t]! * M + m) * K + k;
          ofX[t * K + k]! += cs[t * M + m]! * ws[at]!;
          ofW[at]! += cs[t * M + m]! * xs[t * K + k]!;
        }
    for (const [got, wanted] of [
      [gotX, ofX],
      [gotW, ofW],
    ] as const)
      got.forEach((value, i) => {
        expect(Math.abs(value - wanted[i]!)).toBeLessThan(5e-5);
      });
  });
});
