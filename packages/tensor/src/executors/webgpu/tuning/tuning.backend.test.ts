import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu, requestGpuDevice } from '../../../../../../test-support/own-webgpu.ts';
import { test } from '../../../../../../test-support/suite.ts';
import { isHeddleError } from '../../../checks/errors.ts';
import { compile } from '../../../compile/compile.ts';
import { f32ToF16 } from '../../../float16.ts';
import type { Device } from '../../../graph/device.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { TuningCache } from '../../../webgpu.ts';

const input = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i));
const productOn = (device: Device) =>
  compile((x: Tensor) => x.matmul(x, { transposeB: true }).mul(0.5), {
    device,
    inputs: [{ shape: ['T', 48] }],
    symbols: { T: 40 },
    name: 'product',
  });

onWebGpu('tuning', () => {
  test('measures each choice once, keeps what it found, and gives the same results', async (context) => {
    const tuning = new TuningCache();
    const device = await openOwnWebGpu({ tuning });
    const step = productOn(device);
    const before = [...(await (await step(input(33 * 48))).data())];
    const live = device.memory().owners.find(({ owner }) => owner === 'tuning');
    expect(live).toBeUndefined();
    const results = await step.tune().catch((error: unknown) => {
      if (isHeddleError(error, 'ERR_DEVICE')) context.skip(error.message);
      throw error;
    });
    expect(results).toHaveLength(1);
    const [{ shapeClass, choice, preferred, microseconds }] = results as [(typeof results)[number]];
    expect(shapeClass).toMatch(/^matmul f32\[<=40,48\] f32\[<=40,48\] .*transposeB/);
    expect(Object.keys(microseconds).length).toBeGreaterThanOrEqual(3);
    expect(Object.keys(microseconds)).toContain(preferred);
    expect(microseconds[choice]).toBeLessThanOrEqual(microseconds[preferred]!);
    expect(tuning.get(device.description, shapeClass)).toEqual({ choice, microseconds });
    expect(device.memory().owners.some(({ owner }) => owner === 'tuning')).toBe(false);
    expect(await step.tune()).toEqual([]);
    const after = await (await step(input(33 * 48))).data();
    after.forEach((value, i) => {
      expect(value).toBeCloseTo(before[i]!, 4);
    });
    await device.dispose();
  });

  test('is taken from a file, for the adapter that it was measured on', async () => {
    const plain = await openOwnWebGpu();
    const label = async (device: Device) => (await productOn(device).report()).kernels[0]!.kernel;
    const usual = await label(plain);
    const shapeClass = 'matmul f32[<=40,48] f32[<=40,48] {"transposeA":false,"transposeB":true}';
    const other = ['tiles 128x128x16', 'tiles 64x64x16'].find(
      (name) => !usual.includes(name.split(' ')[1]!.slice(0, -3)),
    )!;
    const record = { choice: other, microseconds: { [other]: 1 } };
    const file = JSON.stringify({ [plain.description]: { [shapeClass]: record }, 'another adapter': {} });
    const tuned = await openOwnWebGpu({ tuning: new TuningCache(JSON.parse(file)) });
    expect(await label(tuned)).toContain(other.split(' ')[1]!.slice(0, -3));
    const elsewhere = await openOwnWebGpu({ tuning: new TuningCache({ 'another adapter': { [shapeClass]: record } }) });
    expect(await label(elsewhere)).toBe(usual);
    for (const device of [plain, tuned, elsewhere]) await device.dispose();
    expect(JSON.parse(JSON.stringify(new TuningCache(JSON.parse(file))))).toEqual({
      [plain.description]: { [shapeClass]: record },
    });
  });

  test('computes the same by every choice', async (context) => {
    const [m, k, n] = [20, 1096, 40];
    const half = (count: number) => f32ToF16(Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898)));
    const product = (device: Device) => {
      const b = device.tensor(half(n * k), { shape: [n, k], dtype: 'f16' });
      const step = compile((a: Tensor) => a.matmul(b, { transposeB: true, dtype: 'f32' }), {
        device,
        inputs: [{ shape: [m, k], dtype: 'f16' }],
        name: 'product',
      });
      return { step, values: async () => (await (await step(half(m * k))).data()) as Float32Array };
    };
    const tuning = new TuningCache();
    const first = await openOwnWebGpu({ tuning });
    const { step, values } = product(first);
    const expected = await values();
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const [result] = await step.tune().catch((error: unknown) => {
      if (isHeddleError(error, 'ERR_DEVICE')) context.skip(error.message);
      throw error;
    });
    const { shapeClass, microseconds } = result!;
    const adapter = first.description;
    await first.dispose();
    for (const choice of Object.keys(microseconds)) {
      tuning.set(adapter, shapeClass, { choice, microseconds });
      const device = await openOwnWebGpu({ tuning });
      const got = await product(device).values();
      const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(got[i]! - value)), 0);
      // sums in another order: subgroup matrices of some adapters round each step of a sum
      expect(worst, choice).toBeLessThan(1e-5 * largest);
      await device.dispose();
    }
  });

  test('refuses files of another form', () => {
    for (const json of [null, [], { a: 1 }, { a: { b: {} } }, { a: { b: { choice: 'x', microseconds: { x: '1' } } } }])
      expect(() => new TuningCache(json as never)).toThrow(/TuningCache/);
  });
});

onWebGpu('warming', () => {
  test('compiles all buckets side by side and tells how far it is; runs then compile nothing', async () => {
    const raw = await requestGpuDevice();
    let compiled = 0;
    const create = raw.createComputePipelineAsync.bind(raw);
    Object.defineProperty(raw, 'createComputePipelineAsync', {
      value: (descriptor: GPUComputePipelineDescriptor) => {
        compiled++;
        return create(descriptor);
      },
    });
    const device = await openOwnWebGpu({ device: raw });
    const step = productOn(device);
    const seen: { done: number; total: number }[] = [];
    await step.warm({ onProgress: (progress) => seen.push(progress) });
    const kernels = seen[0]!.total;
    // 1, 2, 4 ... 32, 40
    expect(kernels).toBeGreaterThanOrEqual(7);
    expect(seen.map(({ done }) => done)).toEqual(Array.from({ length: kernels }, (_, i) => i + 1));
    expect(seen.every(({ total }) => total === kernels)).toBe(true);
    const before = compiled;
    for (const T of [1, 2, 3, 7, 9, 33, 40]) await step(input(T * 48));
    expect(compiled).toBe(before);
    await device.dispose();
    raw.destroy();
  });
});
