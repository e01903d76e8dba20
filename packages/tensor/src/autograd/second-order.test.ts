/// <reference types="vite/client" />
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Case, OperationCase } from '../../../../test-support/cases.ts';
import { ReferenceStorage } from '../executors/reference/executor.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { prod } from '../ops/reduce/prod.ts';
import { openReference } from '../reference.ts';
import { gradients } from './gradients.ts';

const tables = import.meta.glob<Record<string, readonly Case[]>>('../ops/**/*.cases.ts', { eager: true });

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const weights = (x: Tensor, salt: number) => {
  const size = x.shape.reduce<number>((n, dim) => n * (dim as number), 1);
  const values = Float64Array.from({ length: size }, (_, i) => Math.cos(1.7 * i + salt) + 0.25);
  return device.tensor(values, { shape: x.shape as number[] });
};

/** A number as the reference computed it, in float64. */
async function exact(x: Tensor): Promise<number> {
  await x.realize();
  if (!(x.storage instanceof ReferenceStorage)) throw new Error('not computed by the reference');
  return x.storage.data[0]!;
}

/** The gradient with respect to the f32 operands, as one number: weighted and summed. */
function slope(row: OperationCase, operands: readonly Tensor[], by: readonly Tensor[]): Tensor {
  const y = row.f(...operands);
  const found = gradients(y.mul(weights(y, 1)).sum(), by);
  return found.map((g, i) => g.mul(weights(g, i + 2)).sum()).reduce((a, b) => a.add(b));
}

const hasGradient = (row: Case): row is OperationCase => {
  if (!('inputs' in row) || row.gradient === false || !row.inputs.some(({ dtype }) => dtype === 'f32')) return false;
  const size = row.inputs.reduce((n, { values }) => n + values.length, 0);
  return size > 0 && size <= 200 && row.inputs.every(({ dtype }) => dtype !== 'f16');
};

/** The second derivative in one direction against the central difference of first ones. */
async function check(row: OperationCase): Promise<string | undefined> {
  const place = (step: number) => {
    const all = row.inputs.map(({ shape, dtype, values }, i) => {
      const x = device.tensor(Float64Array.from(values), { shape, dtype });
      return dtype === 'f32' ? x.add(weights(x, i + 9).mul(step)) : x;
    });
    return { all, by: all.filter((_, i) => row.inputs[i]!.dtype === 'f32') };
  };
  const here = place(0);
  if (row.f(...here.all).dtype !== 'f32') return undefined;
  const second = gradients(slope(row, here.all, here.by), here.by);
  const along = row.inputs.flatMap(({ dtype }, i) => (dtype === 'f32' ? [i + 9] : []));
  const got = await exact(second.map((g, i) => g.mul(weights(g, along[i]!)).sum()).reduce((a, b) => a.add(b)));
  const step = 2 ** -16;
  const [above, below] = [place(step), place(-step)];
  const want =
    ((await exact(slope(row, above.all, above.by))) - (await exact(slope(row, below.all, below.by)))) / (2 * step);
  const close = Math.abs(got - want) <= 1e-5 * (1 + Math.abs(want));
  return close ? undefined : `${row.name}: expected ${want}, got ${got}`;
}

for (const [path, module] of Object.entries(tables)) {
  const rows = Object.values(module).flat().filter(hasGradient);
  if (rows.length > 0)
    test(`second derivatives of ${/(\w[\w-]*)\.cases/.exec(path)![1]}`, async () => {
      const wrong: string[] = [];
      for (const row of rows) {
        const failure = await check(row);
        if (failure) wrong.push(failure);
      }
      expect(wrong).toEqual([]);
    });
}

test('the derivatives of a product are right where factors are 0, to the third order', async () => {
  for (const values of [
    [2, 0, -3, 5],
    [0, 0, 4, 3],
    [0, 7, 0, 0],
    [1, 2, 3, 4],
  ]) {
    const x = device.tensor(values);
    const basis = (i: number) => device.tensor(values.map((_, k) => Number(k === i)));
    const [first] = gradients(prod(x), [x]);
    const without = (...left: number[]) => values.reduce((p, v, k) => (left.includes(k) ? p : p * v), 1);
    for (const [i, j, k] of [
      [0, 1, 2],
      [1, 0, 3],
      [2, 3, 0],
      [3, 1, 2],
    ] as const) {
      const [second] = gradients(first!.mul(basis(i)).sum(), [x]);
      const [third] = gradients(second!.mul(basis(j)).sum(), [x]);
      expect((await second!.data())[j]! + 0).toBeCloseTo(without(i, j), 5);
      expect((await third!.data())[k]! + 0).toBeCloseTo(without(i, j, k), 5);
      expect((await second!.data())[i]! + 0).toBe(0);
    }
  }
});
