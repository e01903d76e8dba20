import { expect } from 'vitest';
import { backendName, conformance, leaveToNode, test } from '../../../../../test-support/suite.ts';
import { f16ToF32, f32ToF16 } from '../../float16.ts';
import type { Device } from '../../graph/device.ts';
import { openReference } from '../../reference.ts';
import { matmul } from './matmul.ts';

/** Sizes on both sides of what the WebGPU kernels do at once: rows, depth, columns; and a depth that is worth parts. */
const sizes: readonly (readonly [number, number, number])[] = [
  [1, 64, 40],
  [1, 33, 7],
  [3, 130, 37],
  [8, 20, 6],
  [7, 64, 20],
  [9, 20, 6],
  [33, 17, 65],
  [64, 48, 64],
  [70, 36, 132],
  [40, 24, 72],
  [129, 104, 136],
  [20, 1096, 40],
  // and without fragments
  [20, 2100, 40],
  // low-rank factors: few columns, a short depth, few rows
  [136, 1096, 16],
  [136, 16, 72],
  [16, 1096, 72],
];
const values = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed)));

/** Layouts that large results are tried with. */
const large: readonly string[] = ['NN f32 x f32', 'NT f32 x f16', 'TN f32 x f32'];
/** Results so large that they are worth larger tiles: blocks of 64 by 64 values, and of 128 by 128. */
const largeSizes: readonly (readonly [number, number, number])[] = [
  [700, 20, 700],
  [1400, 36, 1404],
];

conformance('products of every layout, dtype and size', (device) => {
  for (const transposeA of [false, true])
    for (const transposeB of [false, true])
      for (const dtypes of [
        ['f32', 'f32'],
        ['f16', 'f16'],
        ['f32', 'f16'],
      ] as const) {
        const layout = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'} ${dtypes.join(' x ')}`;
        test(layout, async (context) => {
          if (backendName === 'reference') context.skip('the reference is what products are compared with');
          if (!['NN f16 x f16', 'NT f32 x f16', 'TN f32 x f32'].includes(layout)) leaveToNode(context);
          const reference = await openReference();
          for (const [m, k, n] of large.includes(layout) ? [...sizes, ...largeSizes] : sizes) {
            const on = async (d: Device) => {
              const operand = (seed: number, dtype: 'f32' | 'f16', shape: number[]) => {
                const data = values(shape[0]! * shape[1]!, seed);
                return d.tensor(dtype === 'f16' ? f32ToF16(data) : data, { shape, dtype });
              };
              const a = operand(1, dtypes[0], transposeA ? [k, m] : [m, k]);
              const b = operand(2, dtypes[1], transposeB ? [n, k] : [k, n]);
              const y = matmul(a, b, { transposeA, transposeB });
              const data = await y.data();
              return y.dtype === 'f16' ? f16ToF32(data as Uint16Array) : (data as Float32Array);
            };
            const [got, expected] = [await on(device()), await on(reference)];
            const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(got[i]! - value)), 0);
            const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
            expect(worst / largest, `[${m}, ${k}] x [${k}, ${n}]`).toBeLessThan(dtypes[0] === 'f16' ? 1e-3 : 1e-5);
          }
          await reference.dispose();
        });
      }
});
