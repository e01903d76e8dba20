import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '@heddle/tensor';
import { quantize } from '@heddle/tensor/quantized';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors, writeSafetensors } from '@heddle/tensor/safetensors';
import { expect, test } from 'vitest';
import { safetensorsWeights } from './safetensors-weights.ts';
import { Weights } from './weights.ts';

test('matrices of any float type become the blocks of their values', async () => {
  const shape = [2, 256];
  const values = Float32Array.from({ length: 512 }, (_, i) => 0.02 * Math.sin(i * i));
  const [f16, bf16] = [f32ToF16(values), f32ToBf16(values)];
  const bytes = writeSafetensors([
    ['f32', { dtype: 'F32', shape, data: values }],
    ['f16', { dtype: 'F16', shape, data: f16 }],
    ['bf16', { dtype: 'BF16', shape, data: bf16 }],
  ]);
  const expected = { f32: values, f16: f16ToF32(f16), bf16: bf16ToF32(bf16) };
  await using device = await openReference();
  const file = safetensorsWeights(await openSafetensors(bytes), 'bytes');
  const plan = Object.keys(expected).map((name) => ({ name, stored: [name], shape }));
  for (const dtype of ['q8_0', 'q4_0', 'mxfp4', 'q4_k', 'q5_k', 'q6_k'] as const) {
    const weights = await Weights.load(device, file, plan, { dtype, frozen: true });
    for (const [name, floats] of Object.entries(expected))
      expect(await device.executor.read(weights.get(name).storage!)).toEqual(quantize(floats, dtype));
    weights.dispose();
  }
});

test('values beyond the reach of f16 are refused by name, and nothing is left on the device', async () => {
  const data = Float32Array.of(1, 65504, 65520, 2);
  const bytes = writeSafetensors([
    ['fits', { dtype: 'F32', shape: [1, 2], data: data.slice(0, 2) }],
    ['not', { dtype: 'F32', shape: [2, 2], data }],
    ['wide', { dtype: 'BF16', shape: [2, 2], data: f32ToBf16(Float32Array.of(1, 2, 3, 1e6)) }],
    ['infinite', { dtype: 'F32', shape: [1, 1], data: Float32Array.of(Number.POSITIVE_INFINITY) }],
  ]);
  await using device = await openReference();
  const file = safetensorsWeights(await openSafetensors(bytes), 'model.safetensors');
  const load = (...names: string[]) =>
    Weights.load(
      device,
      file,
      names.map((name) => ({ name, stored: [name], shape: file.info(name).shape })),
      { dtype: 'f16', frozen: true },
    );
  for (const name of ['not', 'wide'])
    await expect(load('fits', name)).rejects.toMatchObject({
      code: 'ERR_WEIGHTS_RANGE',
      message: expect.stringMatching(new RegExp(`^weights: model.safetensors: ${name}: f16 reaches 65504, got`)),
    });
  expect(device.memory().live).toBe(0);
  (await load('fits', 'infinite')).dispose();
});

test('large tensors go to the device in parts, with no more of them in memory, and are what they are as a whole', async () => {
  const [rows, width] = [96, 64];
  const values = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i * 0.37));
  const bytes = writeSafetensors([
    ['matrix', { dtype: 'BF16', shape: [rows, width], data: f32ToBf16(values) }],
    ...[0, 1].map(
      (i) =>
        [
          `part.${i}`,
          {
            dtype: 'F32',
            shape: [rows / 2, width],
            data: values.subarray((i * rows * width) / 2, ((i + 1) * rows * width) / 2),
          },
        ] as const,
    ),
  ]);
  const plan = [
    { name: 'matrix', stored: ['matrix'], shape: [rows, width] },
    {
      name: 'parts',
      stored: ['part.0', 'part.1'],
      shape: [2, rows / 2, width],
      source: { kind: 'stacked' as const, names: ['part.0', 'part.1'] },
    },
  ];
  let [largest, reads] = [0, 0];
  const counted = {
    byteLength: bytes.length,
    read: async (offset: number, length: number) => {
      [largest, reads] = [Math.max(largest, length), reads + 1];
      return bytes.slice(offset, offset + length);
    },
  };
  await using device = await openReference();
  const file = safetensorsWeights(await openSafetensors(counted), 'bytes');
  for (const dtype of ['f32', 'f16', 'q8_0', 'mxfp4'] as const) {
    const whole = await Weights.load(device, file, plan, { dtype, frozen: true });
    [largest, reads] = [0, 0];
    const progress: number[] = [];
    const parts = await Weights.load(device, file, plan, {
      dtype,
      frozen: true,
      partBytes: 16 * width * 4,
      onProgress: ({ loadedBytes }) => progress.push(loadedBytes),
    });
    // sixteen rows of f32, thirty-two of bf16
    expect([largest, reads]).toEqual([16 * width * 4, 3 + 3 + 3]);
    expect(progress).toEqual([rows * width * 2, rows * width * 6]);
    for (const { name } of plan) {
      const [a, b] = [whole.get(name), parts.get(name)];
      expect([b.dtype, b.frozen, b.shape]).toEqual([a.dtype, true, a.shape]);
      expect(await b.data()).toEqual(await a.data());
    }
    whole.dispose();
    parts.dispose();
  }
});

test('experts in every order that files have go to the device in parts, and are what they are as a whole', async () => {
  const [parts, out, inSize] = [3, 16, 64];
  const values = (seed: number, length: number) => Float32Array.from({ length }, (_, i) => Math.sin(seed + i * 0.37));
  const size = parts * out * inSize;
  const bytes = writeSafetensors([
    ['rows', { dtype: 'F32', shape: [parts, 2 * out, inSize], data: values(1, 2 * size) }],
    ['columns', { dtype: 'BF16', shape: [parts, inSize, 2 * out], data: f32ToBf16(values(2, 2 * size)) }],
    [
      'four_blocks',
      { dtype: 'U8', shape: [parts, 2 * out, 2, 16], data: Uint8Array.from(values(3, size), (v) => 99 * v) },
    ],
    ['four_scales', { dtype: 'U8', shape: [parts, 2 * out, 2], data: new Uint8Array(parts * 2 * out * 2).fill(125) }],
  ]);
  const shape = [parts, out, inSize];
  const plan = [0, 1].flatMap((first) => [
    { name: `rows ${first}`, stored: ['rows'], shape, source: { kind: 'rows' as const, name: 'rows', first, of: 2 } },
    ...['columns', 'four'].map((name) => ({
      name: `${name} ${first}`,
      stored: [name],
      shape,
      source: { kind: 'columns' as const, name, first, of: 2 },
    })),
  ]);
  let largest = 0;
  const counted = {
    byteLength: bytes.length,
    read: async (offset: number, length: number) => {
      largest = Math.max(largest, length);
      return bytes.slice(offset, offset + length);
    },
  };
  await using device = await openReference();
  const file = safetensorsWeights(await openSafetensors(counted), 'bytes');
  for (const dtype of [undefined, 'f16', 'q8_0'] as const) {
    const whole = await Weights.load(device, file, plan, { dtype, frozen: true });
    largest = 0;
    const inParts = await Weights.load(device, file, plan, { dtype, frozen: true, partBytes: 16 * inSize * 4 });
    // sixteen rows of f32, and one expert whose columns are turned
    expect(largest).toBeLessThanOrEqual(inSize * 2 * out * 2);
    for (const { name } of plan) {
      const [a, b] = [whole.get(name), inParts.get(name)];
      expect([name, b.dtype, b.shape]).toEqual([name, a.dtype, a.shape]);
      const [x, y] = [await device.executor.read(a.storage!), await device.executor.read(b.storage!)];
      expect(y).toEqual(x);
    }
    whole.dispose();
    inParts.dispose();
  }
});
