import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu, requestGpuDevice } from '../../../../../test-support/own-webgpu.ts';
import { backendName, test } from '../../../../../test-support/suite.ts';
import { isHeddleError } from '../../checks/errors.ts';
import { compile } from '../../compile/compile.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { KernelCall } from '../../graph/webgpu-lowering.ts';
import { openWebGpu } from '../../webgpu.ts';

/** The code of the typed error that a promise or a call ends with. */
async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (cause) {
    if (isHeddleError(cause)) return `${cause.code}: ${cause.message}`;
    throw cause;
  }
  return 'no error';
}

/** An operation whose kernels are what the test says. */
const kernelOp = (
  write: KernelCall['write'],
  workgroups: readonly [number, number, number],
): Op<Record<never, never>> =>
  defineOp({
    name: 'test kernel',
    shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
    lower: {
      webgpu: {
        kernels: () => [
          {
            label: 'test kernel',
            buffers: [
              { name: 'x', input: 0 },
              { name: 'y', output: 0 },
            ],
            parameters: {},
            threads: 1,
            write,
            workgroups: () => workgroups,
          },
        ],
      },
    },
  });

onWebGpu('what goes wrong on a GPU', (device) => {
  test('a kernel that does not compile rejects, and the device goes on', async () => {
    const op = kernelOp(() => ({ main: 'nonsense();' }), [1, 1, 1]);
    const x = device().tensor([1, 2]);
    const error = await codeOf(() => recordOne(op, [x], {}).data());
    expect(error).toMatch(/^ERR_DEVICE: .*test kernel does not compile/);
    expect(error).toContain('nonsense');
    expect(await x.add(1).data()).toEqual(Float32Array.of(2, 3));
  });

  test('too many workgroups are refused before they are submitted', async () => {
    const op = kernelOp(({ at, set }) => ({ main: `${set.y}(0u, ${at.x}(0u));` }), [65_536, 1, 1]);
    const x = device().tensor([1, 2]);
    expect(await codeOf(() => recordOne(op, [x], {}).data())).toMatch(/^ERR_DEVICE: .*65535/);
    expect(await x.add(1).data()).toEqual(Float32Array.of(2, 3));
  });

  test("an error in submitted work rejects what waits for it, on a device of our own and on a caller's", async () => {
    // one buffer bound for writing twice, which WebGPU refuses when the commands are encoded
    const twice: Op<Record<never, never>> = defineOp({
      name: 'twice',
      shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
      lower: {
        webgpu: {
          kernels: () => [
            {
              label: 'twice',
              buffers: [
                { name: 'x', input: 0 },
                { name: 'y', output: 0 },
                { name: 'z', output: 0 },
              ],
              parameters: {},
              threads: 1,
              write: ({ at, set }) => ({ main: `${set.y}(0u, ${at.x}(0u)); ${set.z}(0u, ${at.x}(1u));` }),
              workgroups: () => [1, 1, 1],
            },
          ],
        },
      },
    });
    const raw = await requestGpuDevice();
    for (const broken of [await openOwnWebGpu(), await openOwnWebGpu({ device: raw })]) {
      const x = broken.tensor([1, 2]);
      expect(await codeOf(() => recordOne(twice, [x], {}).data())).toMatch(/^ERR_DEVICE_LOST: .*reported an error/);
      expect(await codeOf(() => x.add(1).data())).toMatch(/^ERR_DEVICE_LOST/);
      await broken.dispose();
    }
    raw.destroy();
  });

  test("a caller's own mistake on its device is no failure of ours", async () => {
    const raw = await requestGpuDevice();
    raw.addEventListener('uncapturederror', (event) => event.preventDefault());
    const borrowed = await openOwnWebGpu({ device: raw });
    raw.createShaderModule({ code: 'nonsense' });
    expect(await borrowed.tensor([1]).add(1).data()).toEqual(Float32Array.of(2));
    await borrowed.dispose();
    raw.destroy();
  });

  test('a lost device rejects what is in flight, and later calls', async () => {
    const raw = await requestGpuDevice();
    const lost = await openOwnWebGpu({ device: raw });
    const x = lost.tensor(new Float32Array(1000));
    await x.add(1).data();
    const inFlight = codeOf(() => x.mul(2).data());
    raw.destroy();
    expect(await inFlight).toMatch(/^ERR_DEVICE_LOST/);
    expect(await codeOf(() => lost.tensor([1]))).toMatch(/^ERR_DEVICE_LOST: .*lost/);
    expect(await codeOf(() => x.data())).toMatch(/^ERR_DEVICE_LOST/);
    const another = await openOwnWebGpu();
    expect(await another.tensor([1]).add(1).data()).toEqual(Float32Array.of(2));
    await another.dispose();
    await lost.dispose();
  });

  test('a caller keeps its device when ours is disposed of', async () => {
    const raw = await requestGpuDevice();
    const borrowed = await openOwnWebGpu({ device: raw });
    expect(await borrowed.tensor([1]).add(1).data()).toEqual(Float32Array.of(2));
    await borrowed.dispose();
    const buffer = raw.createBuffer({ size: 16, usage: 9 });
    await buffer.mapAsync(1);
    buffer.destroy();
    raw.destroy();
  });

  test('a device that is disposed of ends after the reads under way', async () => {
    const own = await openOwnWebGpu();
    const x = own.ones([200, 200]);
    const reads = [x.matmul(x).sum().item(), x.sum().item()];
    await own.dispose();
    expect(await Promise.all(reads)).toEqual([8e6, 4e4]);
  });

  test('a budget refuses before anything is allocated, and says who holds what', async () => {
    const small = await openOwnWebGpu({ memoryBudget: 10_000 });
    const x = small.variable(new Float32Array(1000), { name: 'x', owner: 'the weights' });
    const error = await codeOf(() => small.tensor(new Float32Array(2000)));
    expect(error).toMatch(/^ERR_OUT_OF_MEMORY: .*8000 bytes.*budget is 10000.*the weights: 4000/);
    expect(small.memory().live).toBe(4000);
    expect(
      await codeOf(() =>
        x
          .add(1)
          .matmul(x.reshape([1000, 1]))
          .data(),
      ),
    ).toBe('no error');
    // two buffers of 4000 bytes beside x, where there is room for one
    const step = compile(
      () =>
        x
          .reshape([1000, 1])
          .mul(x.reshape([1, 1000]).slice(1, 0, 2))
          .softmax(0)
          .sum(1),
      {
        device: small,
      },
    );
    const before = small.memory().live;
    expect(await codeOf(() => step())).toMatch(/^ERR_OUT_OF_MEMORY/);
    expect(small.memory().live).toBeLessThanOrEqual(before);
    await small.dispose();
  });

  test('a plan runs in the budget that it says it needs, and not in one byte less', async () => {
    const run = async (memoryBudget?: number) => {
      const own = await openOwnWebGpu({ ...(memoryBudget ? { memoryBudget } : {}) });
      const step = compile((x: Tensor) => x.matmul(x).softmax(-1).matmul(x), {
        device: own,
        inputs: [{ shape: [32, 32] }],
      });
      const result = await codeOf(async () => {
        await step.prepare();
        await step(new Float32Array(1024));
      });
      const { peak } = own.memory();
      await own.dispose();
      return { result, peak };
    };
    const { result, peak } = await run();
    expect(result).toBe('no error');
    expect((await run(peak)).result).toBe('no error');
    expect((await run(peak - 1)).result).toMatch(/^ERR_OUT_OF_MEMORY/);
  });

  test('a buffer larger than the device has is refused with a typed error', async () => {
    expect(await codeOf(() => device().zeroVariable([2 ** 46]))).toMatch(/^ERR_OUT_OF_MEMORY: .*largest/);
  });

  test('after disposing of everything nothing is held', async () => {
    const own = await openOwnWebGpu();
    const x = own.variable(new Float32Array(100), { name: 'x' });
    const step = compile((y: Tensor) => ({ z: y.add(x).softmax(-1), update: x.assign(x.add(y)) }), {
      device: own,
      inputs: [{ shape: [100] }],
    });
    await step(new Float32Array(100));
    await (await x.add(1).realize()).data();
    expect(own.memory().live).toBeGreaterThan(0);
    step.dispose();
    x.dispose();
    await own.dispose();
    expect(own.memory().pooled).toBe(0);
  });

  test('an environment without WebGPU says so', async () => {
    const gpu = { requestAdapter: async () => null } as unknown as GPU;
    expect(await codeOf(() => openWebGpu({ gpu }))).toMatch(/^ERR_DEVICE: openWebGpu: no WebGPU adapter/);
    if (backendName === 'webgpu-browser') return;
    expect(await codeOf(() => openWebGpu({ vulkanLoader: '/no/such/libvulkan.so' }))).toMatch(
      /^ERR_DEVICE: .*cannot be loaded: \/no\/such\/libvulkan.so/,
    );
  });
});
