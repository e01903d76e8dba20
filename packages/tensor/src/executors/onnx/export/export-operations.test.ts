import { expect, test } from 'vitest';
import { caseTables } from '../../../../../../test-support/case-tables.ts';
import { onnxOnly } from '../../../../../../test-support/onnx.ts';
import { type DType, isStorageDType } from '../../../dtype.ts';
import type { Device } from '../../../graph/device.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { hostValues, type OnnxRuntime, runtimeTensor } from '../runtime.ts';
import { exportOnnx } from './export.ts';

const tables = await caseTables();

onnxOnly('every operation, exported and run by a bare session', (open) => {
  test.each(tables)('$file', async ({ cases }) => {
    const { device, executor } = await open();
    const different: string[] = [];
    for (const row of cases) {
      // what is storage-only is no argument of an exported function
      if ('inputs' in row && row.inputs.some(({ dtype }) => isStorageDType(dtype))) continue;
      const f = 'create' in row ? () => row.create(device) : row.f;
      const inputs = 'inputs' in row ? row.inputs.map((input) => place(device, input)) : [];
      const [bare, own] = [await runBare(executor.runtime, f, inputs, device), await f(...inputs).data()];
      if (bare.length !== own.length || !bare.every((value, i) => isNear(value, own[i]!))) different.push(row.name);
    }
    expect(different).toEqual([]);
  });
});

interface Operand {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly values: readonly number[];
}
const place = (device: Device, { shape, dtype, values }: Operand) =>
  device.tensor(Float64Array.from(values), { shape, dtype });

async function runBare(
  runtime: OnnxRuntime,
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  device: Device,
): Promise<readonly number[]> {
  const file = await exportOnnx(f, [...inputs], { device });
  const session = await runtime.InferenceSession.create(file.bytes, { logSeverityLevel: 4 });
  const feeds = await Promise.all(
    file.inputs.map(async ({ name }, i) => {
      const { dtype, shape } = inputs[i]!;
      return [name, runtimeTensor(runtime, dtype, await inputs[i]!.data(), shape as number[])] as const;
    }),
  );
  const { output } = await session.run(Object.fromEntries(feeds));
  await session.release();
  return [...hostValues(file.outputs[0]!.type as DType, output!)];
}

/** Both are computed by the same operators; the optimiser may fold some of them in another order. */
const isNear = (a: number, b: number) =>
  Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b));
