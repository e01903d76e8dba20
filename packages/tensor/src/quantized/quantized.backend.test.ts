import { expect } from 'vitest';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { gradients } from '../autograd/gradients.ts';
import { compile } from '../compile/compile.ts';
import type { BlockFormat } from '../dtype.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../float16.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cast, dequantize } from '../ops/elementwise/cast.ts';
import { embedding } from '../ops/indexing/gather.ts';
import { linear } from '../ops/nn.ts';
import { decodeFormat } from './decode.ts';
import { quantize } from './quantize.ts';

const formats: readonly BlockFormat[] = ['q8_0', 'q4_0', 'mxfp4', 'q4_k', 'q5_k', 'q6_k'];
/** A browser compiles kernels of the others: these are read in like ways. */
const inNodeOnly: ReadonlySet<BlockFormat> = new Set(['q8_0', 'q4_k', 'q5_k', 'mxfp4']);
const waves = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed) * (1 + Math.cos(i * 0.37))));
const floats = async (y: Tensor) => {
  const data = await y.data();
  return y.dtype === 'f16' ? f16ToF32(data as Uint16Array) : (data as Float32Array);
};

/** Largest difference from the product in float64, relative to its largest value. */
function worst(got: ArrayLike<number>, x: Float32Array, w: Float32Array, k: number): number {
  const [m, n] = [x.length / k, w.length / k];
  let [off, most] = [0, 1e-30];
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += x[i * k + p]! * w[j * k + p]!;
      off = Math.max(off, Math.abs(got[i * n + j]! - sum));
      most = Math.max(most, Math.abs(sum));
    }
  return off / most;
}

/** Rows, common size, columns: one of each kernel on slow drivers, more elsewhere. */
function sizesFor(device: Device, format: BlockFormat): readonly (readonly [number, number, number])[] {
  const few = [
    [1, 512, 13],
    [3, 256, 40],
    [12, 256, 36],
  ] as const;
  if (/swiftshader/i.test(device.description) || backendName === 'webgpu-browser') return few;
  // kernels differ by rows and sizes, formats in how they are read
  if (format === 'mxfp4' || format === 'q5_k') return [...few, [9, 512, 70], [300, 256, 12]];
  return [
    ...few,
    [1, 256, 3],
    [1, 4096, 24],
    [2, 768, 8],
    [5, 2304, 17],
    [8, 1024, 33],
    [9, 512, 70],
    [40, 256, 128],
    [300, 256, 12],
  ];
}

conformance('weights that are storage-only', (device) => {
  const weights = (format: BlockFormat, shape: readonly [number, number], seed = 2) => {
    const bytes = quantize(waves(shape[0] * shape[1], seed), format);
    const tensor = device().tensor(bytes, { shape, dtype: format });
    return { bytes, tensor, values: decodeFormat(format, bytes, shape) };
  };

  for (const format of formats) {
    test(`${format} comes back as it went, and dequantises exactly`, async () => {
      const { bytes, tensor, values } = weights(format, [5, 512]);
      expect(await tensor.data()).toEqual(bytes);
      expect(await tensor.clone().data()).toEqual(bytes);
      expect([...(await floats(dequantize(tensor)))]).toEqual([...values]);
      const halves = await dequantize(tensor, 'f16').data();
      expect([...halves]).toEqual([...f32ToF16(values)]);
    });

    test(`a product with ${format}, in f32 and f16`, async (context) => {
      if (inNodeOnly.has(format)) leaveToNode(context);
      for (const [m, k, n] of sizesFor(device(), format)) {
        const { tensor, values } = weights(format, [n, k]);
        const x = waves(m * k, 1);
        const y = linear(device().tensor(x, { shape: [m, k] }), tensor);
        expect(y.shape).toEqual([m, n]);
        expect(worst(await floats(y), x, values, k), `f32 [${m}, ${k}] x [${n}, ${k}]`).toBeLessThan(5e-6);
        const halves = f32ToF16(x);
        const z = linear(device().tensor(halves, { shape: [m, k], dtype: 'f16' }), tensor);
        expect(z.dtype).toBe('f16');
        const bound = worst(await floats(z), f16ToF32(halves), values, k);
        expect(bound, `f16 [${m}, ${k}] x [${n}, ${k}]`).toBeLessThan(2e-3);
      }
    });

    test(`a compiled product with frozen ${format}, with what follows it`, async (context) => {
      if (inNodeOnly.has(format)) leaveToNode(context);
      const bytes = quantize(waves(24 * 512, 5), format);
      const values = decodeFormat(format, bytes, [24, 512]);
      const weight = device().variable(bytes, { shape: [24, 512], dtype: format, frozen: true, name: 'w' });
      const bias = device().tensor(waves(24, 3));
      const step = compile(({ x }: { x: Tensor }) => linear(x, weight, bias).mul(2), {
        device: device(),
        inputs: [{ x: { shape: ['T', 512] } }],
        symbols: { T: 16 },
      });
      for (const rows of [1, 7, 11]) {
        const x = waves(rows * 512, rows);
        const y = await floats(await step({ x }));
        const plain = y.map((value, i) => value / 2 - waves(24, 3)[i % 24]!);
        expect(worst(plain, x, values, 512), `${rows} rows`).toBeLessThan(1e-5);
      }
      if (backendName === 'onnx') expect(step.explain()).toContain('MatMulNBits');
      if (backendName.startsWith('webgpu')) expect(step.kernelCount()).toBe(1);
      step.dispose();
      weight.dispose();
    });

    test(`rows of a table of ${format}, eager and compiled`, async (context) => {
      if (inNodeOnly.has(format)) leaveToNode(context);
      const { tensor, values } = weights(format, [7, 256]);
      const ids = device().tensor(Int32Array.of(6, 0, 3, -1, 99, 6), { shape: [2, 3] });
      const expected = [6, 0, 3, 0, 6, 6].flatMap((row) => [...values.subarray(row * 256, row * 256 + 256)]);
      const rows = embedding(tensor, ids);
      expect([rows.shape, rows.dtype]).toEqual([[2, 3, 256], 'f32']);
      expect([...(await floats(rows))]).toEqual(expected);
      const step = compile(() => [embedding(tensor, ids)], { device: device() });
      const [compiled] = await step();
      (await floats(compiled!)).forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 5);
      });
      step.dispose();
    });
  }

  test('bytes of blocks are written in parts', async () => {
    for (const format of formats) {
      const bytes = quantize(waves(16 * 256, 1), format);
      const weight = device().zeroVariable([16, 256], { dtype: format });
      const half = bytes.length / 2;
      device().executor.write(weight.storage!, bytes.subarray(half), half);
      device().executor.write(weight.storage!, bytes.subarray(0, half), 0);
      expect(await weight.data()).toEqual(bytes);
      weight.dispose();
    }
  });

  test('a variable takes its values in parts, and no others', async () => {
    const given = [
      ...formats.map((dtype) => ({ dtype, data: quantize(waves(40 * 256, 1), dtype), part: (40 * 256) / 2.5 })),
      { dtype: 'f32', data: waves(40 * 256, 2), part: 4099 },
      { dtype: 'f16', data: f32ToF16(waves(40 * 256, 2)), part: 4096 },
    ] as const;
    async function* partsOf<A extends { subarray(from: number, to: number): A; length: number }>(
      data: A,
      size: number,
    ) {
      for (let at = 0; at < data.length; at += size) yield data.subarray(at, Math.min(at + size, data.length));
    }
    for (const { dtype, data, part } of given) {
      const size = data instanceof Uint8Array ? (part / 256) * (data.length / 40) : part;
      const parts = () => partsOf<never>(data as never, size);
      const variable = await device().variableOfParts(parts(), { shape: [40, 256], dtype, name: 'w', frozen: true });
      expect(await variable.data()).toEqual(data);
      variable.dispose();
    }
    const before = device().memory().live;
    const f32 = (...sizes: number[]) =>
      device().variableOfParts(
        (async function* () {
          for (const size of sizes) yield new Float32Array(size);
        })(),
        { shape: [2, 4], dtype: 'f32', name: 'w' },
      );
    await expect(f32(4, 3)).rejects.toThrow('variableOfParts: w [2, 4] takes 8 values, got 7');
    await expect(f32(4, 4, 1)).rejects.toThrow('variableOfParts: w [2, 4] takes 8 values, got 9 or more');
    const halves = (async function* () {
      yield new Uint16Array(8);
    })();
    await expect(device().variableOfParts(halves, { shape: [2, 4], dtype: 'f32' })).rejects.toThrow(
      /is f32, got a part/,
    );
    expect(device().memory().live).toBe(before);
  });

  test('a batch of block weights, and activations that are transposed', async () => {
    const { bytes, values } = weights('q4_0', [12, 64]);
    const batch = device().tensor(bytes, { shape: [2, 6, 64], dtype: 'q4_0' });
    const x = waves(2 * 3 * 64, 1);
    const y = device()
      .tensor(x, { shape: [2, 3, 64] })
      .matmul(batch, { transposeB: true });
    const got = await floats(y);
    for (const i of [0, 1]) {
      const part = got.subarray(i * 18, i * 18 + 18);
      const w = values.slice(i * 384, i * 384 + 384);
      expect(worst(part, x.slice(i * 192, i * 192 + 192), w, 64)).toBeLessThan(5e-6);
    }
    const flat = device().tensor(bytes, { shape: [12, 64], dtype: 'q4_0' });
    const turned = device().tensor(x.slice(0, 192), { shape: [64, 3] });
    const z = turned.matmul(flat, { transposeA: true, transposeB: true });
    const columns = Float32Array.from({ length: 192 }, (_, i) => x[(i % 64) * 3 + Math.floor(i / 64)]!);
    expect(worst(await floats(z), columns, values, 64)).toBeLessThan(5e-6);
  });

  test('gradients with respect to activations go through block weights, gradients with respect to the weights are refused', async () => {
    const { tensor, values } = weights('q4_0', [24, 64]);
    const x = device().tensor(waves(3 * 64, 1), { shape: [3, 64] });
    const [g] = gradients(linear(x, tensor).sum(), [x]);
    const got = await floats(g!);
    for (let p = 0; p < 64; p++) {
      let sum = 0;
      for (let j = 0; j < 24; j++) sum += values[j * 64 + p]!;
      for (let i = 0; i < 3; i++) expect(got[i * 64 + p]).toBeCloseTo(sum, 4);
    }
    expect(() => gradients(linear(x, tensor).sum(), [tensor])).toThrow(
      expect.objectContaining({ code: 'ERR_DTYPE', message: expect.stringContaining('q4_0') }),
    );
  });

  test('bf16: there and back, casts to the nearest, products, rows', async () => {
    const values = Float32Array.of(1, -1.00390625, 1.01171875, 3.1417, 1e30, 0.1, Number.POSITIVE_INFINITY);
    const bits = f32ToBf16(values);
    const x = device().tensor(bits, { dtype: 'bf16' });
    expect(await x.data()).toEqual(bits);
    expect([...(await floats(cast(x, 'f32')))]).toEqual([...bf16ToF32(bits)]);
    expect(await cast(device().tensor(values), 'bf16').data()).toEqual(bits);
    expect(await cast(cast(device().tensor(values.subarray(0, 4)), 'f16'), 'bf16').data()).toEqual(
      f32ToBf16(f16ToF32(f32ToF16(values.subarray(0, 4)))),
    );
    const nan = await cast(device().tensor([Number.NaN, 1]), 'bf16').data();
    expect([Number.isNaN(bf16ToF32(nan as Uint16Array)[0]), nan[1]]).toEqual([true, 0x3f80]);
    for (const [m, k, n] of [
      [1, 64, 12],
      [3, 40, 7],
      [12, 64, 36],
    ] as const) {
      const w = f32ToBf16(waves(n * k, 4));
      const weight = device().tensor(w, { shape: [n, k], dtype: 'bf16' });
      const a = waves(m * k, 1);
      const y = linear(device().tensor(a, { shape: [m, k] }), weight);
      expect(worst(await floats(y), a, bf16ToF32(w), k)).toBeLessThan(5e-6);
      const row = embedding(weight, device().tensor(Int32Array.of(2), { shape: [1] }));
      expect([...(await floats(row))]).toEqual([...bf16ToF32(w.subarray(2 * k, 3 * k))]);
    }
  });

  test('blocks are no result of a compiled function', async () => {
    const { tensor } = weights('q8_0', [2, 32]);
    const step = compile(() => [tensor], { device: device() });
    await expect((async () => step())()).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_DTYPE', message: expect.stringMatching(/nothing computes q8_0/) }),
    );
    step.dispose();
  });

  test('what does not take them says so when it is recorded', () => {
    const { tensor } = weights('q8_0', [2, 32]);
    const half = device().tensor([1, 2], { dtype: 'bf16' });
    const refused = (code: string, message: RegExp, record: () => unknown) =>
      expect(record).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    refused('ERR_DTYPE', /add: input 0 is q8_0, which is storage-only; dequantize it/, () => tensor.add(1));
    refused('ERR_DTYPE', /matmul: input 0 is q8_0/, () => tensor.matmul(tensor, { transposeB: true }));
    refused('ERR_DTYPE', /exp: input 0 is bf16, which is storage-only; cast it/, () => half.exp());
    refused('ERR_DTYPE', /reshape: input 0 is q8_0/, () => tensor.reshape([64]));
    refused('ERR_DTYPE', /cast: gives no q4_0/, () => cast(device().tensor([1]), 'q4_0'));
    refused('ERR_DTYPE', /zeros: gives no bf16/, () => device().zeros([2], 'bf16'));
    refused('ERR_DTYPE', /dequantize: takes bf16 and block formats, got f32/, () => dequantize(device().tensor([1])));
    refused('ERR_SHAPE', /rows of q4_0 are whole blocks of 32 values/, () =>
      device().tensor(new Uint8Array(18), { shape: [2, 16], dtype: 'q4_0' }),
    );
    refused('ERR_SHAPE', /holds 36 bytes of q4_0, got 35/, () =>
      device().tensor(new Uint8Array(35), { shape: [2, 32], dtype: 'q4_0' }),
    );
    refused('ERR_DTYPE', /q8_0 is made of the bytes of its blocks/, () =>
      device().tensor(new Float32Array(34), { shape: [1, 32], dtype: 'q8_0' }),
    );
    const variable = device().zeroVariable([1, 32], { dtype: 'q8_0' });
    refused('ERR_DTYPE', /assign: variable is q8_0/, () => variable.assign(device().zeros([1, 32])));
    variable.dispose();
  });
});
