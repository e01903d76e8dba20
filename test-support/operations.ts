import {
  bf16ToF32,
  type Device,
  type DType,
  f16ToF32,
  type HostArray,
  type Tensor,
  valueAndGrad,
} from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, expect } from 'vitest';
import type { Case, Operand, OperationCase } from './cases.ts';
import { conformance, test } from './suite.ts';

const tolerances: Readonly<Partial<Record<DType, number>>> = {
  f32: 1e-5,
  f16: 2e-3,
  i32: 0,
  u32: 0,
  bool: 0,
  bf16: 8e-3,
};

/**
 * Runs a table of operations on the project's back end and on the reference executor in float64 and compares values, and
 * gradients with central differences.
 */
export function operations(title: string, cases: readonly Case[]): void {
  conformance(title, (device) => {
    const reference = openReference();
    afterAll(async () => (await reference).dispose());
    for (const row of cases)
      test(row.name, async () => {
        const apply = (on: Device) =>
          'create' in row ? row.create(on) : row.f(...row.inputs.map((input) => place(on, input)));
        const [actual, expected] = [apply(device()), apply(await reference)];
        expect(actual.shape).toEqual(expected.shape);
        expect(actual.dtype).toBe(expected.dtype);
        const tolerance = ('tolerance' in row ? row.tolerance : undefined) ?? tolerances[expected.dtype]!;
        expectClose(await numbers(actual), await numbers(expected), tolerance);
        if (row.expected) expectClose(await numbers(actual), rightValues(row), tolerance);
        if ('f' in row && hasGradient(row, expected)) await expectGradients(row, device(), await reference);
      });
  });
}

/** What a case says is right. On the reference executor nothing else is independent of what is tested. */
function rightValues(row: Case): readonly number[] {
  const { expected } = row;
  if (typeof expected !== 'function') return expected ?? [];
  return expected(...('inputs' in row ? row.inputs.map(({ values }) => values) : []));
}

function place(device: Device, { shape, dtype, values }: Operand): Tensor {
  return device.tensor(Float64Array.from(values), { shape, dtype });
}

async function numbers(tensor: Tensor): Promise<number[]> {
  const data: HostArray = await tensor.data();
  if (tensor.dtype === 'bf16') return [...bf16ToF32(data as Uint16Array)];
  return [...(tensor.dtype === 'f16' ? f16ToF32(data as Uint16Array) : data)];
}

/** Values agree within `tolerance` of their own magnitude or of the mean magnitude, whichever is larger. */
export function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const finite = expected.filter(Number.isFinite);
  const scale = finite.reduce((sum, value) => sum + Math.abs(value), 0) / Math.max(finite.length, 1);
  const off = expected.flatMap((value, i) => {
    const got = actual[i]!;
    const same = Object.is(got, value) || got === value;
    const close = Math.abs(got - value) <= tolerance * Math.max(Math.abs(value), scale);
    return same || (Number.isFinite(value) && close) ? [] : [`[${i}] expected ${value}, got ${got}`];
  });
  if (off.length > 0)
    expect.fail(
      `${off.length} of ${expected.length} values are off by more than ${tolerance}:\n${off.slice(0, 8).join('\n')}`,
    );
}

const hasGradient = ({ gradient, inputs }: OperationCase, output: Tensor) =>
  gradient ?? (output.dtype === 'f32' && inputs.some(({ dtype }) => dtype === 'f32'));

/** Compares the back end's gradients of a weighted sum of the result with central differences in float64. */
async function expectGradients({ f, inputs }: OperationCase, device: Device, reference: Device): Promise<void> {
  const smooth = inputs.flatMap(({ dtype }, i) => (dtype === 'f32' ? [i] : []));
  const loss = (...operands: Tensor[]) => {
    const y = f(...operands);
    const size = y.shape.reduce<number>((a, b) => a * (b as number), 1);
    const weights = Array.from({ length: size }, (_, i) => Math.fround(Math.cos(i + 1) + 1.5));
    return y.mul(y.device.tensor(Float32Array.from(weights), { shape: y.shape as number[] })).sum();
  };
  const { value, grads } = valueAndGrad(loss, { argnums: smooth })(...inputs.map((input) => place(device, input)));
  await device.realize([value, ...grads]);
  for (const [g, i] of smooth.entries()) {
    const gradient = grads[g]!;
    expect(gradient.shape).toEqual(inputs[i]!.shape);
    const differences = await centralDifferences(loss, inputs, i, reference);
    expectClose(await numbers(gradient), differences, 1e-4);
  }
  for (const tensor of [value, ...grads]) tensor.dispose();
}

/** Gradient by operand `by` in float64, one value at a time. */
async function centralDifferences(
  loss: (...operands: Tensor[]) => Tensor,
  inputs: readonly Operand[],
  by: number,
  reference: Device,
): Promise<number[]> {
  const operands = inputs.map((input) => place(reference, input));
  const data = float64Of(operands[by]!);
  const at = async (i: number, value: number) => {
    data[i] = value;
    const result = loss(...operands);
    await result.realize();
    const [number] = float64Of(result);
    result.dispose();
    return number!;
  };
  const out: number[] = [];
  for (const [i, value] of [...data].entries()) {
    const step = 1e-5 * Math.max(1, Math.abs(value));
    out.push(((await at(i, value + step)) - (await at(i, value - step))) / (2 * step));
    data[i] = value;
  }
  for (const operand of operands) operand.dispose();
  return out;
}

/** The values that the reference executor computes with, which `data()` rounds to float32. */
function float64Of(tensor: Tensor): Float64Array {
  return (tensor.storage as unknown as { readonly data: Float64Array }).data;
}
