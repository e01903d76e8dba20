import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu, requestGpuDevice } from '../../../../../test-support/own-webgpu.ts';
import { test } from '../../../../../test-support/suite.ts';
import { compile } from '../../compile/compile.ts';
import type { Device } from '../../graph/device.ts';
import { defineOp } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { KernelCall } from '../../graph/webgpu-lowering.ts';
import { silu } from '../../ops/elementwise/activation.ts';
import { matmul } from '../../ops/matmul/matmul.ts';

/** A caller's device that notes every call of a method, by name. */
async function openNoting() {
  const device = await requestGpuDevice();
  let calls: string[] = [];
  const noting = <T extends object>(target: T, own: Partial<Record<string, unknown>>): T =>
    new Proxy(target, {
      get(_, name: string) {
        const value: unknown = own[name] ?? Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          calls.push(name);
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  /** The calls on each compute pass. */
  const passes: string[][] = [];
  const notedPass = (pass: GPUComputePassEncoder) => {
    const own: string[] = [];
    passes.push(own);
    return new Proxy(pass, {
      get(target, name: string) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          own.push(name);
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  };
  const createCommandEncoder = (descriptor?: GPUCommandEncoderDescriptor) => {
    const encoder = device.createCommandEncoder(descriptor);
    const begin = encoder.beginComputePass.bind(encoder);
    Object.defineProperty(encoder, 'beginComputePass', {
      value: (pass?: GPUComputePassDescriptor) => notedPass(begin(pass)),
    });
    return encoder;
  };
  const noted = noting(device, { queue: noting(device.queue, {}), createCommandEncoder });
  const opened = await openOwnWebGpu({ device: noted });
  const take = () => {
    const taken = calls;
    calls = [];
    return taken;
  };
  const close = async () => {
    await opened.dispose();
    device.destroy();
  };
  return { opened, take, close, passes };
}

const input = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i));

function stepOn(device: Device) {
  const weight = device.variable(input(16 * 16), { shape: [16, 16], name: 'weight' });
  const state = device.zeroVariable([16], { name: 'state' });
  const step = compile(
    (x: Tensor) => {
      const h = silu(matmul(x, weight).add(state));
      return { y: h.softmax(-1), update: state.assign(state.mul(0.5).add(h.sum(0))) };
    },
    { device, inputs: [{ shape: ['T', 16] }], symbols: { T: 32 }, name: 'step' },
  );
  return { step, weight, state };
}

onWebGpu('replaying a plan', () => {
  test('makes no GPU object and submits once', async () => {
    const { opened, take, close } = await openNoting();
    const { step } = stepOn(opened);
    for (const T of [5, 6]) await (await step(input(T * 16))).y.data();
    take();
    for (const T of [5, 7, 8, 5]) {
      const { y } = await step(input(T * 16));
      const calls = take();
      expect(calls.filter((name) => name.startsWith('create'))).toEqual(['createCommandEncoder']);
      expect(calls.filter((name) => name === 'submit')).toHaveLength(1);
      await y.data();
      expect(take().filter((name) => name.startsWith('create'))).toEqual(['createCommandEncoder']);
    }
    await close();
  });

  test('writes the parameter blocks only when a size changed', async () => {
    const { opened, take, close } = await openNoting();
    const { step } = stepOn(opened);
    await step(input(5 * 16));
    await step(input(5 * 16));
    take();
    await step(input(5 * 16));
    expect(take().filter((name) => name === 'writeBuffer')).toHaveLength(1);
    await step(input(6 * 16));
    expect(take().filter((name) => name === 'writeBuffer')).toHaveLength(2);
    await close();
  });

  test('is one pass, and sets for each kernel what differs from the one before', async () => {
    const { opened, take, close, passes } = await openNoting();
    const { step } = stepOn(opened);
    await step(input(5 * 16));
    take();
    passes.length = 0;
    await step(input(6 * 16));
    const kernels = step.kernelCount()!;
    expect(passes).toHaveLength(1);
    const counts = (name: string) => passes[0]!.filter((call) => call === name).length;
    expect(counts('dispatchWorkgroups')).toBe(kernels);
    expect(counts('setPipeline')).toBeLessThanOrEqual(kernels);
    expect(counts('setBindGroup')).toBeLessThanOrEqual(kernels);
    expect(new Set(passes[0])).toEqual(new Set(['setPipeline', 'setBindGroup', 'dispatchWorkgroups', 'end']));
    await close();
  });

  test('goes out in parts where it takes the device long, so that it begins early', async () => {
    const { opened, take, close, passes } = await openNoting();
    const slow = defineOp<null>({
      name: 'slow',
      shape: ([x]) => [x!],
      lower: {
        webgpu: {
          kernels: (): KernelCall[] => [
            {
              label: 'slow',
              buffers: [
                { name: 'x', input: 0 },
                { name: 'y', output: 0 },
              ],
              parameters: { count: 16 },
              threads: 64,
              flops: 1e11, // so it says: 400 us of a fast device
              write: ({ at, set, size }) => ({
                main: `  let i = w.x * 64u + l;\n  if (i < ${size['count']}) { ${set['y']}(i, ${at['x']}(i) + 1.0); }`,
              }),
              workgroups: () => [1, 1, 1],
            },
          ],
        },
      },
    });
    const long = compile(
      (x: Tensor) => Array.from({ length: 5 }).reduce<Tensor>((y) => recordOne(slow, [y], null), x),
      { device: opened, inputs: [{ shape: [16] }], name: 'long' },
    );
    await long(input(16));
    take();
    passes.length = 0;
    const y = await long(input(16));
    // the last of them is not worth a submission of its own
    expect(take().filter((name) => name === 'submit')).toHaveLength(2);
    expect(passes.map((pass) => pass.filter((call) => call === 'dispatchWorkgroups').length)).toEqual([2, 3]);
    expect(await y.data()).toEqual(
      input(16).map((value) => [1, 1, 1, 1, 1].reduce((a, b) => Math.fround(a + b), value)),
    );
    await close();
  });

  test('that follows another goes to the device with it, up to the read, where that is asked for', async () => {
    const { opened, take, close } = await openNoting();
    const [a, b] = [stepOn(opened), stepOn(opened)];
    for (const { step } of [a, b]) await step(input(5 * 16));
    const submits = () => take().filter((name) => name === 'submit').length;
    const outputs = async () => {
      const { y } = await a.step(input(5 * 16));
      const chained = await b.step(y);
      return chained.y.data();
    };
    const [first, second] = [stepOn(opened), stepOn(opened)];
    for (const { step } of [first, second]) await step(input(5 * 16));
    const { y } = await first.step(input(5 * 16));
    const expected = await (await second.step(y)).y.data();
    submits();
    expect(await opened.submitTogether(outputs)).toEqual(expected);
    expect(submits()).toBe(1);
    // the same plan twice, a write and a buffer that goes: each sends what came before
    const t = opened.tensor(input(16), { shape: [1, 16] });
    const result = await opened.submitTogether(async () => {
      await a.step(t);
      await a.step(input(3 * 16));
      const more = opened.tensor(input(32), { shape: [2, 16] });
      const { y: last } = await b.step(more);
      more.dispose();
      await opened.trim();
      return last;
    });
    await first.step(input(16));
    await first.step(input(3 * 16));
    const { y: right } = await second.step(input(32));
    expect(await result.data()).toEqual(await right.data());
    expect(await a.state.data()).toEqual(await first.state.data());
    await close();
  });

  test('does not wait for what was read before: many steps are in flight, each with its own values', async () => {
    const { opened, take, close } = await openNoting();
    const { step, state } = stepOn(opened);
    const expected = stepOn(opened);
    await step(input(16));
    await expected.step(input(16));
    take();
    const sizes = [1, 5, 32, 5, 17, 2, 9, 31, 3, 12];
    const values = sizes.map((T, i) => input(T * 16).map((v) => v + i));
    const reads: Promise<ArrayLike<number>>[] = [];
    // nothing is awaited but the recording: not one of the reads is done when the last step is submitted
    for (const x of values) reads.push((await step(x)).y.data());
    expect(take().filter((name) => name === 'submit').length).toBeGreaterThanOrEqual(2 * sizes.length);
    for (const [i, x] of values.entries()) {
      const alone = await (await expected.step(x)).y.data();
      expect([...Array.from(await reads[i]!)]).toEqual([...alone]);
    }
    expect([...(await state.data())]).toEqual([...(await expected.state.data())]);
    await close();
  });

  test('binds storages that take turns from what it made before', async () => {
    const { opened, take, close } = await openNoting();
    const { step } = stepOn(opened);
    const two = [1, 2].map((k) =>
      opened.tensor(
        input(64).map((v) => v * k),
        { shape: [4, 16] },
      ),
    );
    for (const x of two) await step(x);
    take();
    for (const x of [...two, ...two]) await step(x);
    expect(take().filter((name) => name.startsWith('create') && name !== 'createCommandEncoder')).toEqual([]);
    await close();
  });

  test('of every size takes no more memory than the first time', async () => {
    const device = await openOwnWebGpu();
    const { step } = stepOn(device);
    const bytes = () => device.memory().live + device.memory().pooled;
    for (const T of [1, 3, 32]) await (await step(input(T * 16))).y.data();
    const before = bytes();
    for (let i = 0; i < 32; i++) await (await step(input((1 + i) * 16))).y.data();
    // buckets of 2, 8 and 16 come with their own outputs, inputs and parameters
    const grown = bytes();
    for (let i = 0; i < 32; i++) await (await step(input((1 + i) * 16))).y.data();
    expect(bytes()).toBe(grown);
    expect(grown).toBeGreaterThan(before);
    await device.dispose();
  });

  test('gives what an unfused run gives, with fewer kernels', async () => {
    const run = async (fuse: boolean) => {
      const device = await openOwnWebGpu({ fuse });
      const { step, state } = stepOn(device);
      const outputs: number[] = [];
      for (const T of [1, 5, 32, 17]) outputs.push(...(await (await step(input(T * 16))).y.data()));
      const result = { outputs, state: [...(await state.data())], kernels: step.kernelCount()! };
      await device.dispose();
      return result;
    };
    const [fused, apart] = [await run(true), await run(false)];
    expect(fused.kernels).toBeLessThan(apart.kernels / 2);
    fused.outputs.forEach((value, i) => {
      expect(value).toBeCloseTo(apart.outputs[i]!, 5);
    });
    fused.state.forEach((value, i) => {
      expect(value).toBeCloseTo(apart.state[i]!, 3);
    });
  });

  test('plans a peak below the sum of what it computes, and says what it runs', async () => {
    const device = await openOwnWebGpu();
    const step = compile(
      (x: Tensor) => {
        let y = x;
        for (let i = 0; i < 6; i++) y = matmul(y, x, { transposeB: true }).softmax(-1);
        return y;
      },
      { device, inputs: [{ shape: [64, 64] }] },
    );
    await step.prepare();
    const { peak, sum } = step.plannedBytes()!;
    expect(peak).toBeLessThan(sum / 2);
    expect(step.explain()).toContain(`${step.kernelCount()} kernels`);
    expect(step.explain()).toMatch(/matmul.*\n.*max/);
    await device.dispose();
  });

  test('two plans in one arena do not disturb each other', async () => {
    const device = await openOwnWebGpu();
    const chain = (factor: number) =>
      compile((x: Tensor) => matmul(matmul(x.mul(factor), x), x).sum(-1), { device, inputs: [{ shape: [16, 16] }] });
    const [one, two] = [chain(1), chain(2)];
    const x = input(256);
    const first = await one(x);
    const expected = [...(await first.data())];
    for (let i = 0; i < 3; i++) {
      const a = await one(x);
      const b = await two(x);
      expect([...(await a.data())]).toEqual(expected);
      (await b.data()).forEach((value, k) => {
        expect(value).toBeCloseTo(2 * expected[k]!, 3);
      });
    }
    await device.dispose();
  });
});
