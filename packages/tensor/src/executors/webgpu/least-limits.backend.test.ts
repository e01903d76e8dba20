import { afterAll, beforeAll, expect } from 'vitest';
import { expectClose } from '../../../../../test-support/operations.ts';
import { onWebGpu, openOwnWebGpu, requestGpuDevice } from '../../../../../test-support/own-webgpu.ts';
import { backendName, test } from '../../../../../test-support/suite.ts';
import { grad } from '../../autograd/grad.ts';
import { isHeddleError } from '../../checks/errors.ts';
import { compile } from '../../compile/compile.ts';
import { f16ToF32 } from '../../float16.ts';
import type { Device } from '../../graph/device.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { conv1d } from '../../ops/convolution/convolution.ts';
import { randomUniform } from '../../ops/create/random.ts';
import { gelu } from '../../ops/elementwise/activation.ts';
import { where } from '../../ops/elementwise/where.ts';
import { embedding } from '../../ops/indexing/gather.ts';
import { takeAlongAxis } from '../../ops/indexing/indexing.ts';
import { sort } from '../../ops/indexing/sort.ts';
import { matmul } from '../../ops/matmul/matmul.ts';
import { stack } from '../../ops/movement/arrange.ts';
import { concat } from '../../ops/movement/concat.ts';
import { pad } from '../../ops/movement/slice.ts';
import { crossEntropy, linear } from '../../ops/nn.ts';
import { cumsum } from '../../ops/reduce/cumsum.ts';
import { layerNorm } from '../../ops/rows/normalization.ts';
import { rmsNorm } from '../../ops/rows/rms-norm.ts';
import { softmax } from '../../ops/rows/softmax.ts';
import { openReference } from '../../reference.ts';

/** A device as `device`, but for limits, which it keeps: a binding over them is an error here, whatever the driver has. */
function limited(device: GPUDevice, lower: Readonly<Record<string, number>>): GPUDevice {
  const limits = new Proxy(device.limits, {
    get: (target, name) => lower[name as string] ?? (target as unknown as Record<string, number>)[name as string],
  });
  const createBindGroup = (descriptor: GPUBindGroupDescriptor) => {
    for (const { resource } of descriptor.entries)
      if ((resource as GPUBufferBinding).size! > limits.maxStorageBufferBindingSize)
        throw new Error(`a binding of ${(resource as GPUBufferBinding).size} bytes`);
    return device.createBindGroup(descriptor);
  };
  return new Proxy(device, {
    get(target, name) {
      if (name === 'limits') return limits;
      if (name === 'createBindGroup') return createBindGroup;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const numbers = async (tensor: Tensor) => {
  const data = await tensor.data();
  return [...(tensor.dtype === 'f16' ? f16ToF32(data as Uint16Array) : data)];
};

/** Programs over more buffers than a kernel may bind. */
const wide = (on: Device): Tensor[] => {
  const parts = Array.from({ length: 12 }, (_, i) =>
    on.tensor(
      Float32Array.from({ length: 6 }, (_, k) => Math.sin(i + k)),
      { shape: [2, 3] },
    ),
  );
  const sum = parts.reduce((a, b) => a.add(b).tanh());
  const chain = parts.reduce((a, b, i) => (i % 2 ? a.mul(b) : where(a.less(b), a, b)));
  return [
    concat(parts, 0),
    concat(parts, 1),
    stack(parts, 1),
    sum,
    chain,
    concat(
      parts.map((x) => x.exp()),
      0,
    ).sum(1),
    parts.reduce((a, b) => a.add(b)).sum(),
    matmul(parts[0]!, parts[1]!, { transposeB: true }).add(parts.reduce((a, b) => a.add(b)).sum()),
    ...parts.map((x, i) => x.mul(i)),
  ];
};

/** Programs over tensors that take two bindings of 4,096 bytes. */
const large = (on: Device): Tensor[] => {
  const x = randomUniform(on, [40, 48], 1, { low: -1, high: 1 });
  const y = randomUniform(on, [40, 48], 2, { low: -1, high: 1 });
  const z = randomUniform(on, [40, 48], 3, { low: -1, high: 1 });
  const w = randomUniform(on, [36, 48], 4, { low: -1, high: 1 });
  const rows = on.arange(40).mul(7).sub(on.arange(40).mul(7).div(40).mul(40));
  const loss = (a: Tensor) =>
    crossEntropy(linear(gelu(a), w), on.arange(40).div(2)).add(rmsNorm(a, on.ones([48])).sum());
  const long = randomUniform(on, [1900], 5);
  return [
    x.add(y),
    x.add(y).mul(z).sub(y.exp()).add(x.mul(z)),
    x.sum(),
    x.sum(0),
    x.sum(1),
    x.mul(y).max(1),
    x.exp().mean(0),
    x.transpose(),
    x.reshape([48, 40]),
    x.slice(1, 1, 47, 3),
    pad(x, [0, 1], [0, 1]),
    concat([x.slice(0, 0, 20), y.slice(0, 0, 15)], 0),
    embedding(x, rows),
    takeAlongAxis(x, rows.reshape([40, 1]).expand([40, 30]), 1),
    softmax(x, 1),
    softmax(x, 0),
    layerNorm(x),
    rmsNorm(x, on.ones([48])),
    matmul(x, y, { transposeB: true }),
    matmul(x, w, { transposeB: true })
      .add(on.ones([36]))
      .relu(),
    matmul(x, y.transpose()).add(matmul(z, y.transpose())),
    cumsum(x, 1),
    sort(x.slice(1, 0, 30), 1).values,
    sort(long, 0).values,
    sort(long, 0).indices,
    conv1d(x.slice(1, 0, 24).reshape([1, 40, 24]), randomUniform(on, [20, 40, 2], 6)),
    x.greater(y).cast('i32').sum(1),
    where(x.greater(0), y, z),
    x.cast('f16').mul(2),
    on.arange(3500, 'f32').mul(0.001).cast('f16').add(0.5),
    grad(loss)(x)[0]!,
  ];
};

onWebGpu('the least that WebGPU promises', () => {
  let raw: GPUDevice;
  let least: Device;
  let narrow: Device;
  const reference = openReference();
  beforeAll(async () => {
    if (!backendName.startsWith('webgpu')) return;
    raw = await requestGpuDevice();
    least = await openOwnWebGpu({ device: raw });
    narrow = await openOwnWebGpu({ device: limited(raw, { maxStorageBufferBindingSize: 4096, maxBufferSize: 8192 }) });
  });
  afterAll(async () => {
    await least?.dispose();
    await narrow?.dispose();
    await (await reference).dispose();
    raw?.destroy();
  });

  const compare = async (on: Device, record: (device: Device) => Tensor[]) => {
    const [actual, expected] = [record(on), record(await reference)];
    await on.realize(actual);
    for (const [i, tensor] of actual.entries()) {
      const tolerance = tensor.dtype === 'f16' ? 2e-3 : 1e-4;
      try {
        expectClose(await numbers(tensor), await numbers(expected[i]!), tolerance);
      } catch (cause) {
        throw new Error(`program ${i}: ${(cause as Error).message}`);
      }
    }
    for (const tensor of [...actual, ...expected]) tensor.dispose();
  };

  test('is no features and 8 storage buffers', () => {
    expect([...raw.features].filter((name) => name !== ('core-features-and-limits' as GPUFeatureName))).toEqual([]);
    expect(raw.limits.maxStorageBuffersPerShaderStage).toBe(8);
    expect(raw.limits.maxStorageBufferBindingSize).toBe(2 ** 27);
    expect(raw.limits.maxBufferSize).toBe(2 ** 28);
  });

  test('programs over more buffers than a kernel may bind', () => compare(least, wide));
  /** All, or where kernels compile slowly a few of each kind. */
  const some = (on: Device) => large(on).filter((_, i) => !isSlow() || [1, 3, 9, 14, 18, 29].includes(i));
  const isSlow = () => /swiftshader/i.test(least.description);

  test('tensors that are larger than a binding may be', () => compare(narrow, some));
  test('one of them after the other', async (context) => {
    if (isSlow()) context.skip('their kernels compile slowly, and were run together');
    for (const [i] of large(await reference).entries()) await compare(narrow, (on) => [large(on)[i]!]);
  });

  test('variables and compiled steps over them', async () => {
    const run = async (on: Device) => {
      const table = on.variable(
        Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i)),
        { shape: [50, 40], name: 'table' },
      );
      const step = compile(
        (x: Tensor, rows: Tensor) => ({
          y: x.matmul(table).softmax(-1),
          updates: [table.scatter(rows, x.slice(1, 0, 40))],
        }),
        { device: on, inputs: [{ shape: ['T', 50] }, { shape: ['T'], dtype: 'i32' }], symbols: { T: 30 } },
      );
      const found: number[][] = [];
      for (const T of [3, 30, 17]) {
        const x = Float32Array.from({ length: 50 * T }, (_, i) => Math.cos(i + T));
        const { y } = await step(
          x,
          Int32Array.from({ length: T }, (_, i) => (i * 3) % 50),
        );
        found.push(await numbers(y));
      }
      await on.realize([], [table.assign(table.mul(0.5).add(1))]);
      found.push(await numbers(table));
      step.dispose();
      table.dispose();
      return found;
    };
    const [got, want] = [await run(narrow), await run(await reference)];
    for (const [i, values] of want.entries()) expectClose(got[i]!, values, 1e-4);
  });

  test('halves that begin in the middle of a word are written into large variables', async () => {
    const halves = narrow.variable(new Uint16Array(3001).fill(0x3c00), { shape: [3001], dtype: 'f16' });
    narrow.executor.write(halves.storage!, new Uint16Array(2500).fill(0x4000), 401);
    const values = await numbers(halves);
    expect(values).toEqual(Array.from({ length: 3001 }, (_, i) => (i >= 401 && i < 2901 ? 2 : 1)));
    halves.dispose();
  });

  test('a tensor over the buffer limit is refused where it would be allocated, with the sizes', async () => {
    const refusal = async (work: () => unknown) => {
      try {
        await work();
      } catch (cause) {
        if (isHeddleError(cause, 'ERR_OUT_OF_MEMORY')) return cause.message;
        throw cause;
      }
      return 'none';
    };
    expect(await refusal(() => narrow.tensor(new Float32Array(2049)))).toMatch(/8208 bytes.*largest is 8192/);
    expect(await refusal(() => narrow.ones([50, 50]).mul(2).data())).toMatch(/10000 bytes.*largest is 8192/);
    const wide = narrow.ones([1, 50]).add(narrow.arange(50, 'f32').reshape([50, 1]));
    expect(await refusal(() => wide.softmax(1).matmul(wide).data())).toMatch(/10000 bytes/);
    expect(await numbers(narrow.ones([3]).mul(2))).toEqual([2, 2, 2]);
  });
});
