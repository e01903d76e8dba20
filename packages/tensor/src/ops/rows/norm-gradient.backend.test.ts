import { openReference } from '@heddle/tensor/reference';
import { afterAll, expect } from 'vitest';
import { expectClose } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { gradients } from '../../autograd/gradients.ts';
import { f16ToF32 } from '../../float16.ts';
import type { Device } from '../../graph/device.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { layerNorm } from './normalization.ts';
import { rmsNorm } from './rms-norm.ts';
import { logSoftmax, softmax } from './softmax.ts';

interface Rows {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly dtype?: 'f16';
  readonly f: (x: Tensor, weight: Tensor, bias: Tensor) => Tensor;
  /** By which of x, weight and bias. */
  readonly by: readonly number[];
}

const layer: Rows['f'] = (x, w, b) => layerNorm(x, w, b);
const cases: readonly Rows[] = [
  { name: 'layerNorm of more rows than workgroups', shape: [1100, 8], f: layer, by: [0, 1, 2] },
  { name: 'layerNorm of rows that a workgroup does not fill', shape: [5, 1036], f: layer, by: [0, 1, 2] },
  { name: 'layerNorm by its weights alone', shape: [9, 64], f: layer, by: [1, 2] },
  { name: 'layerNorm by x alone', shape: [9, 64], f: layer, by: [0] },
  { name: 'layerNorm without weights', shape: [9, 64], f: (x) => layerNorm(x), by: [0] },
  { name: 'layerNorm f16', shape: [9, 64], dtype: 'f16', f: layer, by: [0, 1, 2] },
  { name: 'rmsNorm of more rows than workgroups', shape: [1100, 8], f: (x, w) => rmsNorm(x, w), by: [0, 1] },
  { name: 'rmsNorm of rows that a workgroup does not fill', shape: [5, 1036], f: (x, w) => rmsNorm(x, w), by: [0, 1] },
  { name: 'rmsNorm f16 by x', shape: [9, 64], dtype: 'f16', f: (x, w) => rmsNorm(x, w), by: [0] },
  { name: 'softmax of long rows', shape: [5, 1036], f: (x) => softmax(x), by: [0] },
  { name: 'softmax f16', shape: [9, 64], dtype: 'f16', f: (x) => softmax(x), by: [0] },
  { name: 'logSoftmax of long rows', shape: [5, 1036], f: (x) => logSoftmax(x), by: [0] },
];

const waves = (count: number, salt: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.round(100 * Math.sin(salt + i * 1.7)) / 64);

/** The gradients of a weighted sum of the result. */
async function gradientsOf(device: Device, { shape, dtype = undefined, f, by }: Rows): Promise<number[][]> {
  const [rows, width] = shape;
  const place = (values: Float32Array, size: readonly number[]) =>
    device.tensor(values, { shape: size }).cast(dtype ?? 'f32');
  const inputs = [
    place(waves(rows * width, 1), shape),
    place(waves(width, 2), [width]),
    place(waves(width, 3), [width]),
  ];
  const y = f(...(inputs as [Tensor, Tensor, Tensor]));
  const loss = y
    .cast('f32')
    .mul(device.tensor(waves(rows * width, 4), { shape }))
    .sum();
  const found = gradients(
    loss,
    by.map((i) => inputs[i]!),
  );
  await device.realize(found);
  return Promise.all(
    found.map(async (tensor) => {
      const data = await tensor.data();
      return [...(tensor.dtype === 'f16' ? f16ToF32(data as Uint16Array) : data)];
    }),
  );
}

conformance('gradients of norms and softmax', (device) => {
  const reference = openReference();
  afterAll(async () => (await reference).dispose());
  for (const row of cases)
    test(row.name, async () => {
      const [actual, expected] = [await gradientsOf(device(), row), await gradientsOf(await reference, row)];
      expected.forEach((values, i) => {
        expectClose(actual[i]!, values, row.dtype ? 4e-3 : 1e-5);
      });
      expect(await gradientsOf(device(), row)).toEqual(actual); // the same bits
    });
});
