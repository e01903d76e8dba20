import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { onnxOnly } from '../../../../../../test-support/onnx.ts';
import { isHeddleError } from '../../../checks/errors.ts';
import type { InputSpec } from '../../../compile/input-spec.ts';
import { symbolicDim } from '../../../dim.ts';
import { f32ToBf16 } from '../../../float16.ts';
import type { Device } from '../../../graph/device.ts';
import { defineOp } from '../../../graph/op.ts';
import { recordOne } from '../../../graph/record.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { sizeScalar } from '../../../ops/create/creation.ts';
import { matmul } from '../../../ops/matmul/matmul.ts';
import { quantize } from '../../../quantized/quantize.ts';
import { openReference } from '../../../reference.ts';
import type { OnnxRuntime, RuntimeTensor } from '../runtime.ts';
import { exportOnnx } from './export.ts';
import type { OnnxFile } from './onnx-file.ts';

let device: Device;
beforeEach(async () => {
  device = await openReference();
});
afterEach(() => device.dispose());

type Values = Readonly<
  Record<string, readonly [type: string, data: ArrayBufferView | readonly number[], dims: readonly number[]]>
>;

/** What a session that knows nothing of us gives for a file. */
async function run(
  { InferenceSession, Tensor: RuntimeValue }: OnnxRuntime,
  model: OnnxFile | string,
  feeds: Values,
): Promise<Record<string, RuntimeTensor>> {
  const session =
    typeof model === 'string'
      ? await InferenceSession.create(model as never, {})
      : await InferenceSession.create(model.bytes, { externalData: model.externalData });
  const given = Object.entries(feeds).map(([name, [type, data, dims]]) => [
    name,
    new RuntimeValue(type as never, data as never, dims),
  ]);
  const results = await session.run(Object.fromEntries(given) as Record<string, RuntimeTensor>);
  await session.release();
  return { ...results };
}
const list = (tensor: RuntimeTensor | undefined) => [...(tensor!.data as Float32Array)];

onnxOnly('an exported function', (open) => {
  const runtime = async () => (await open()).executor.runtime;

  test('carries the tensors and variables that it uses, with the values of now', async () => {
    const weight = device.variable(
      [
        [1, 2],
        [3, 4],
      ],
      { name: 'layer.weight' },
    );
    const bias = device.tensor([10, 20]);
    await device.realize([], [weight.assign(weight.mul(2))]);
    const file = await exportOnnx((x: Tensor) => matmul(x, weight).add(bias).maximum(0), [{ shape: ['N', 2] }], {
      device,
      symbols: { N: 8 },
    });
    expect(file.inputs).toEqual([{ name: 'input0', type: 'f32', shape: ['N', 2] }]);
    expect(file.outputs).toEqual([{ name: 'output', type: 'f32', shape: ['N', 2] }]);
    expect(file.externalData).toEqual([]);
    const ort = await runtime();
    for (const rows of [1, 3]) {
      const x = Float32Array.from({ length: rows * 2 }, (_, i) => i - 1);
      const { output } = await run(ort, file, { input0: ['float32', x, [rows, 2]] });
      expect(output!.dims).toEqual([rows, 2]);
      const expected = await matmul(device.tensor(x, { shape: [rows, 2] }), weight)
        .add(bias)
        .maximum(0)
        .data();
      expect(list(output)).toEqual([...expected]);
    }
    expect(Buffer.from(file.bytes).includes('layer.weight')).toBe(true);
  });

  test('names inputs and outputs by their place in trees, or as it is asked to', async () => {
    const f = ({ a, rest }: { a: Tensor; rest: readonly Tensor[] }, factor: number) => ({
      sum: a.add(rest[0]!),
      parts: [a.mul(factor)],
    });
    const [a, b] = [device.tensor([1, 2]), device.tensor([3, 4])];
    const file = await exportOnnx(f, [{ a, rest: [b] }, 5]);
    expect(file.inputs.map(({ name }) => name)).toEqual(['a', 'rest[0]']);
    expect(file.outputs.map(({ name }) => name)).toEqual(['sum', 'parts[0]']);
    const renamed = await exportOnnx(f, [{ a, rest: [b] }, 5], { inputNames: ['v0', 'v1'], outputNames: ['v2', 'y'] });
    const ort = await runtime();
    const results = await run(ort, renamed, { v0: ['float32', [1, 2], [2]], v1: ['float32', [3, 4], [2]] });
    expect([list(results['v2']), list(results['y'])]).toEqual([
      [4, 6],
      [5, 10],
    ]);
    const both = await exportOnnx(
      (p: { x: Tensor }, q: { x: Tensor }) => ({ 'input1.x': p.x.sub(q.x) }),
      [{ x: a }, { x: b }],
    );
    expect(both.inputs.map(({ name }) => name)).toEqual(['input0.x', 'input1.x']);
    expect(both.outputs.map(({ name }) => name)).toEqual(['output.input1.x']);
  });

  test('gives what it is given, constants, and one value twice', async () => {
    const kept = device.variable([7, 8]);
    const f = (x: Tensor, unused: Tensor) => {
      const y = x.add(1);
      return [x, kept, y, y, unused.device.full([], 3)];
    };
    const file = await exportOnnx(f, [{ shape: [2] }, { shape: [1] }], { device });
    const feeds: Values = { input0: ['float32', [1, 2], [2]], input1: ['float32', [0], [1]] };
    const results = await run(await runtime(), file, feeds);
    expect(file.outputs.map(({ name }) => list(results[name]))).toEqual([[1, 2], [7, 8], [2, 3], [2, 3], [3]]);
  });

  test('takes sizes from the inputs that show them, and asks for the others', async () => {
    const S = symbolicDim('S', 16);
    const f = (x: Tensor) => x.sum(0).mul(sizeScalar(device, x.shape[0]!)).add(device.arange(S, 'f32').sum());
    const file = await exportOnnx(f, [{ shape: ['N', 2] }], { device, symbols: { N: 8 } });
    expect(file.inputs).toEqual([
      { name: 'input0', type: 'f32', shape: ['N', 2] },
      { name: 'size.S', type: 'i64', shape: [1] },
    ]);
    const { output } = await run(await runtime(), file, {
      input0: ['float32', [1, 2, 3, 4, 5, 6], [3, 2]],
      'size.S': ['int64', BigInt64Array.of(4n), [1]],
    });
    expect(list(output)).toEqual([9 * 3 + 6, 12 * 3 + 6]);
  });

  test('keeps dtypes', async () => {
    const mask = device.tensor([true, false, true]);
    const f = (h: Tensor, i: Tensor, u: Tensor) => [h.mul(2), i.neg(), u.add(1), mask.and(i.less(0))];
    const file = await exportOnnx(
      f,
      [
        { shape: [3], dtype: 'f16' },
        { shape: [3], dtype: 'i32' },
        { shape: [3], dtype: 'u32' },
      ],
      { device },
    );
    expect(file.outputs.map(({ type }) => type)).toEqual(['f16', 'i32', 'u32', 'bool']);
    const results = await run(await runtime(), file, {
      input0: ['float16', Uint16Array.of(0x3c00, 0x4000, 0x4200), [3]],
      input1: ['int32', Int32Array.of(-1, -2, 3), [3]],
      input2: ['uint32', Uint32Array.of(1, 2, 4e9), [3]],
    });
    expect(list(results['output1'])).toEqual([1, 2, -3]);
    expect(list(results['output2'])).toEqual([2, 3, 4e9 + 1]);
    expect(list(results['output3'])).toEqual([1, 0, 0]);
  });

  test('keeps weights that are stored in blocks or as bf16, for the operators that read them', async () => {
    const values = Float32Array.from({ length: 4 * 64 }, (_, i) => Math.sin(i * i));
    const x = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i));
    const ort = await runtime();
    for (const dtype of ['q4_0', 'q8_0', 'bf16'] as const) {
      const data = dtype === 'bf16' ? f32ToBf16(values) : quantize(values, dtype);
      const weight = device.variable(data, { shape: [4, 64], dtype, frozen: true, name: 'weight' });
      const f = (rows: Tensor) => matmul(rows, weight, { transposeB: true });
      const file = await exportOnnx(f, [{ shape: ['N', 64] }], { device, symbols: { N: 4 } });
      const { output } = await run(ort, file, { input0: ['float32', x, [1, 64]] });
      const expected = await f(device.tensor(x, { shape: [1, 64] })).data();
      const off = list(output).reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
      expect(off, dtype).toBeLessThan(2e-2);
      if (dtype !== 'bf16') expect(Buffer.from(file.bytes).includes('MatMulNBits')).toBe(true);
    }
  });

  test('has its weights beside it above a limit, in memory and in files', async () => {
    const a = device.variable(
      Float32Array.from({ length: 600 }, (_, i) => i),
      { shape: [2, 300], name: 'a' },
    );
    const b = device.variable(
      Float32Array.from({ length: 300 }, (_, i) => -i),
      { name: 'b' },
    );
    const f = (x: Tensor) => matmul(x, a).add(b);
    const ort = await runtime();
    const x: Values = { x: ['float32', [1, 2], [1, 2]] };
    const options = { device, externalAbove: 1000, inputNames: ['x'], outputNames: ['y'] };
    const inside = await run(ort, await exportOnnx(f, [{ shape: [1, 2] }], { ...options, externalAbove: 1e6 }), x);
    const inMemory = await exportOnnx(f, [{ shape: [1, 2] }], options);
    expect(inMemory.externalData).toHaveLength(2);
    expect(inMemory.bytes.byteLength).toBeLessThan(1000);
    expect(list((await run(ort, inMemory, x))['y'])).toEqual(list(inside['y']));

    const folder = await mkdtemp(join(tmpdir(), 'heddle-export-'));
    try {
      const path = join(folder, 'model.onnx');
      await exportOnnx(f, [{ shape: [1, 2] }], { ...options, path });
      expect((await stat(`${path}.data`)).size).toBe(4096 + 1200);
      expect(list((await run(ort, path, x))['y'])).toEqual(list(inside['y']));
      const plain = join(folder, 'plain.onnx');
      const { bytes } = await exportOnnx(f, [{ shape: [1, 2] }], { device, path: plain });
      expect(await readFile(plain)).toEqual(Buffer.from(bytes));
      await expect(stat(`${plain}.data`)).rejects.toThrow();
      const nowhere = exportOnnx(f, [{ shape: [1, 2] }], { device, path: join(folder, 'missing', 'model.onnx') });
      await expect(nowhere).rejects.toThrow(/cannot write .*missing.model\.onnx/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('what no file can hold is refused', () => {
  const failure = async (attempt: Promise<unknown>): Promise<string> => {
    const error = await attempt.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(isHeddleError(error), String(error)).toBe(true);
    return (error as Error).message;
  };
  const spec: [InputSpec] = [{ shape: [2] }];

  test('updates of variables', async () => {
    const state = device.variable([1, 2], { name: 'state' });
    const f = (x: Tensor) => ({ y: x.mul(2), next: state.assign(x) });
    expect(await failure(exportOnnx(f, spec, { device }))).toMatch(/result next .* update of the variable 'state'/);
  });

  test('results that are no tensors, or none at all', async () => {
    expect(await failure(exportOnnx((x: Tensor) => [x, 5], spec, { device }))).toMatch(/result \[1\].*got number/);
    expect(await failure(exportOnnx(() => null, [], { device }))).toMatch(/the function must be a tensor.*got null/);
    expect(await failure(exportOnnx(() => [], [], { device }))).toMatch(/returns no tensor/);
  });

  test('values that are storage-only, as inputs or results', async () => {
    const weight = device.variable(f32ToBf16(Float32Array.of(1, 2)), { dtype: 'bf16', frozen: true });
    expect(await failure(exportOnnx(() => [weight], [], { device }))).toMatch(
      /result \[0\].*bf16, which is storage-only/,
    );
    const stored: [InputSpec] = [{ shape: [2], dtype: 'bf16' }];
    expect(await failure(exportOnnx((x: Tensor) => x, stored, { device }))).toMatch(/argument \[0\].*storage-only/);
  });

  test('names that do not fit', async () => {
    const f = (x: Tensor, y: Tensor) => x.add(y);
    const specs: [InputSpec, InputSpec] = [{ shape: [2] }, { shape: [2] }];
    const names = (inputNames: string[], outputNames = ['y']) =>
      failure(exportOnnx(f, specs, { device, inputNames, outputNames }));
    expect(await names(['a'])).toMatch(/has 2 inputs \(input0, input1\), got 1 inputNames/);
    expect(await names(['a', 'a'])).toMatch(/names of inputs and outputs must differ/);
    expect(await names(['a', ''])).toMatch(/must differ and not be empty/);
    expect(await names(['a', 'y'])).toMatch(/must differ/);
  });

  test('operations that the runtime has no way to compute', async () => {
    const opaque = defineOp<null>({ name: 'opaque', shape: ([x]) => [x!] });
    const message = await failure(exportOnnx((x: Tensor) => recordOne(opaque, [x], null), spec, { device }));
    expect(message).toMatch(/opaque: .*onnx.* no lowering/);
  });

  test('functions of no device, and sizes without a bound', async () => {
    expect(await failure(exportOnnx((x: Tensor) => x, spec))).toMatch(/name the device in options\.device/);
    expect(await failure(exportOnnx((x: Tensor) => x, [{ shape: ['N'] }], { device }))).toMatch(/N needs a bound/);
  });
});
