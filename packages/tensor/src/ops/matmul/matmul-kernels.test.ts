import { describe, expect, test } from 'vitest';
import { gradients } from '../../autograd/gradients.ts';
import { compile } from '../../compile/compile.ts';
import { createDevice } from '../../create-device.ts';
import { WebGpuExecutor } from '../../executors/webgpu/executor.ts';
import type { Device } from '../../graph/device.ts';
import { defineOp } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { KernelCall, WebGpuCapabilities } from '../../graph/webgpu-lowering.ts';
import { quantize } from '../../quantized.ts';
import { recordingGpu } from '../../testing/recording-gpu.ts';
import { silu } from '../elementwise/activation.ts';
import { rmsNorm } from '../rows/rms-norm.ts';
import { matmul } from './matmul.ts';

/** A large GPU: subgroups of 32, products of f16 matrices. */
const capabilities: WebGpuCapabilities = {
  shaderF16: true,
  subgroups: true,
  subgroupId: true,
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  subgroupMatrices: [{ M: 16, N: 16, K: 16, componentType: 'f16', resultComponentType: 'f32' }],
  maxWorkgroupStorageBytes: 32_768,
  maxInvocations: 256,
  maxStorageBuffers: 8,
  maxBindingBytes: 2 ** 27,
};

function open() {
  const gpu = recordingGpu({ limits: { maxComputeWorkgroupStorageSize: 32_768 } });
  const executor = new WebGpuExecutor({ device: gpu.device, capabilities, description: 'recording', fuse: true });
  return createDevice(executor);
}

/** The kernels of a program without inputs, with their arithmetic. */
async function kernelsOf(device: Device, program: () => Tensor): Promise<[string, number | undefined][]> {
  const { kernels } = await compile(program, { device, inputs: [] }).report();
  await device.dispose();
  return kernels.map(({ kernel, flops }) => [kernel.replace(/ \d+x\d+$/, ''), flops]);
}

function productOf(m: number, format: 'q4_0' | 'f16') {
  const device = open();
  const x = device.tensor(new Float32Array(m * 256), { shape: [m, 256], dtype: 'f16' });
  const values = new Float32Array(256 * 256);
  const weights = () =>
    device.tensor(format === 'f16' ? values : quantize(values, format), { shape: [256, 256], dtype: format });
  return { device, x, weights, flops: 2 * m * 256 * 256 };
}

describe('the work of a product is counted at the kernel that multiplies', () => {
  test.each([
    [1, 'q4_0', ['matmul.quantized'], 0],
    [8, 'f16', ['matmul.quantized'], 0],
    [16, 'q4_0', ['matmul.fragments q4_0'], 0],
    [300, 'q4_0', ['matmul.unpack q4_0', 'matmul.fragments'], 1],
  ] as const)('%i rows by %s', async (m, format, names, at) => {
    const { device, x, weights, flops } = productOf(m, format);
    const kernels = await kernelsOf(device, () => matmul(x, weights(), { transposeB: true }));
    expect(kernels.map(([name]) => name)).toEqual(names);
    expect(kernels.map(([, own]) => own)).toEqual(names.map((_, i) => (i === at ? flops : undefined)));
  });

  test('a gated pair counts for two, its epilogue beside it', async () => {
    const { device, x, weights, flops } = productOf(1, 'q4_0');
    const [gate, up] = [weights(), weights()];
    const gain = device.tensor(new Float32Array(256), { shape: [256], dtype: 'f16' });
    const kernels = await kernelsOf(device, () => {
      const row = rmsNorm(x, gain);
      return silu(matmul(row, gate, { transposeB: true })).mul(matmul(row, up, { transposeB: true }));
    });
    expect(kernels).toHaveLength(1);
    const [name, counted] = kernels[0]!;
    expect(name).toBe('rmsNorm+matmul.quantized.gated+mul');
    expect(counted! - 2 * flops).toBeGreaterThan(0);
    expect(counted! - 2 * flops).toBeLessThan(10 * 256);
  });
});

test.each(['f16', 'q4_0'] as const)('sums of f16 given as f32 have gradients that multiply f16: %s', async (format) => {
  const { device, x, weights } = productOf(300, format);
  const [weight, factor] = [weights(), device.tensor(new Float32Array(16 * 256), { shape: [16, 256] })];
  const program = () => {
    const y = matmul(x, weight, { transposeB: true, dtype: 'f32' });
    const narrow = matmul(x, factor.cast('f16'), { transposeB: true });
    const change = matmul(narrow, factor.cast('f16'), { dtype: 'f32' });
    const [byX, byFactor] = gradients(y.add(change).pow(2).sum(), [x, factor]);
    return byX.cast('f32').sum().add(byFactor.sum());
  };
  const products = (await kernelsOf(device, program)).map(([name]) => name).filter((name) => name.includes('matmul'));
  expect(products.length).toBeGreaterThanOrEqual(7);
  expect(products.filter((name) => name.includes('tiles'))).toEqual([]);
});

describe('a kernel that names what it does not declare', () => {
  const op = (write: KernelCall['write']) =>
    defineOp<null>({
      name: 'own',
      shape: ([x]) => [x!],
      lower: {
        webgpu: {
          kernels: () => [
            {
              label: 'own',
              buffers: [
                { name: 'x', input: 0 },
                { name: 'y', output: 0 },
              ],
              parameters: { count: 4 },
              threads: 64,
              write,
              workgroups: () => [1, 1, 1],
            },
          ],
        },
      },
    });

  test.each([
    ['buffer z', ({ at, set }) => ({ main: `${set.y}(l, ${at.z}(l));` })],
    ['size length', ({ size }) => ({ main: `if (l < ${size.length}) { return; }` })],
    ['workgroup variable parts', ({ shared }) => ({ main: `${shared.parts}[l] = 0.0;` })],
  ] as [string, KernelCall['write']][])('is refused: %s', async (what, write) => {
    const device = open();
    const x = device.tensor([1, 2, 3, 4]);
    const own = op(write);
    await expect(recordOne(own, [x], null).data()).rejects.toThrow(`own: its text names the ${what}`);
    await device.dispose();
  });
});
