import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu } from '../../../../../../test-support/own-webgpu.ts';
import { backendName, test } from '../../../../../../test-support/suite.ts';
import { compile } from '../../../compile/compile.ts';
import type { DType } from '../../../dtype.ts';
import { f32ToF16 } from '../../../float16.ts';
import type { Device } from '../../../graph/device.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { quantize } from '../../../quantized/quantize.ts';
import { openReference } from '../../../reference.ts';
import { silu } from '../../elementwise/activation.ts';
import { cast } from '../../elementwise/cast.ts';
import { linear } from '../../nn.ts';
import { rmsNorm } from '../../rows/rms-norm.ts';

/** Values between -1 and 1 without a pattern, so that sums of their products do not cancel. */
const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => {
    const x = Math.sin(12.9898 * (i + 1) + seed) * 43758.5453;
    return 2 * (x - Math.floor(x)) - 1;
  });
const stored = (values: Float32Array, dtype: DType) => {
  if (dtype === 'f32') return values;
  if (dtype === 'f16') return f32ToF16(values);
  if (dtype === 'bf16') return Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16);
  return quantize(values, dtype as 'q8_0');
};
/** The largest difference, as a part of the largest value. */
function worst(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [off, most] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    off = Math.max(off, Math.abs(actual[i]! - expected[i]!));
    most = Math.max(most, Math.abs(expected[i]!));
  }
  return off / most;
}

onWebGpu('what products of one row compute beside themselves', (device) => {
  const [E, F] = [512, 20];
  /** Two products of a normed input, the second with what follows it; and the norm itself, where `also` wants it. */
  const stepOn = (on: Device, dtype: DType, activations: 'f32' | 'f16', also = false) => {
    const weight = (name: string, speed: number) =>
      on.variable(stored(noise(E * F, speed), dtype), { name, shape: [F, E], dtype, frozen: true });
    const [up, gate] = [weight('up', 0.37), weight('gate', 0.73)];
    const gain = on.tensor(noise(E, 0.11));
    return compile(
      (x: Tensor) => {
        const normed = cast(rmsNorm(x, gain, 1e-5), activations);
        const project = (w: Tensor) => linear(normed, w, undefined, { dtype: 'f32' });
        return { y: silu(project(gate)).mul(project(up)), ...(also ? { normed } : {}) };
      },
      { device: on, inputs: [{ shape: ['T', E] }], symbols: { T: 16 } },
    );
  };

  for (const dtype of ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_k', 'q6_k'] as const)
    test(`the norm in front and the product that gates, with weights of ${dtype}`, async (context) => {
      if (backendName === 'webgpu-browser' && dtype !== 'f16')
        context.skip('one kind is enough where kernels compile slowly');
      const reference = await openReference();
      // products of f16 read a rounded norm elsewhere
      const activations = dtype === 'f16' ? 'f16' : 'f32';
      const [own, expected] = [device(), reference].map((on) => stepOn(on, dtype, activations));
      for (const T of [1, 3]) {
        const x = noise(T * E, 0.9 + T).map((v) => 3 * v);
        const [actual, right] = [await own!(x), await expected!(x)];
        expect(worst(await actual.y.data(), await right.y.data()), `${T} rows`).toBeLessThan(
          activations === 'f32' ? 1e-5 : 2e-3,
        );
      }
      const { kernels } = await own!.report({ T: 1 });
      expect(kernels.map(({ kernel }) => kernel)).toEqual([
        expect.stringMatching(/^rmsNorm\+matmul\.\w+\.gated\+mul$/),
      ]);
      own!.dispose();
      await reference.dispose();
    });

  test('a norm is computed as well where it is needed itself', async () => {
    const on = await openOwnWebGpu();
    const apart = await openOwnWebGpu({ fuse: false });
    const x = noise(E, 1.7);
    const [{ y, normed }, expected] = [
      await stepOn(on, 'f32', 'f32', true)(x),
      await stepOn(apart, 'f32', 'f32', true)(x),
    ];
    expect(worst(await y.data(), await expected.y.data())).toBeLessThan(1e-5);
    expect(worst(await normed!.data(), await expected.normed!.data())).toBeLessThan(1e-6);
    await on.dispose();
    await apart.dispose();
  });

  test('a product that gates is computed as well where it is needed itself, and with biases', async () => {
    const weight = (seed: number) => noise(E * F, seed);
    const run = async (fuse: boolean) => {
      const on = await openOwnWebGpu({ fuse });
      const [up, gate] = [1, 2].map((seed) => on.tensor(weight(seed), { shape: [F, E] }));
      const [first, second] = [3, 4].map((seed) => on.tensor(noise(F, seed)));
      const step = compile(
        (x: Tensor) => {
          const gated = linear(x, gate!, first);
          return {
            y: gated
              .sigmoid()
              .mul(linear(x, up!, second))
              .add(1),
            gated,
          };
        },
        { device: on, inputs: [{ shape: [1, E] }] },
      );
      const { y, gated } = await step(noise(E, 5));
      const values = [...(await y.data()), ...(await gated.data())];
      const kernels = step.kernelCount()!;
      await on.dispose();
      return { values, kernels };
    };
    const [together, apart] = [await run(true), await run(false)];
    expect(together.kernels).toBeLessThan(apart.kernels);
    expect(worst(together.values, apart.values)).toBeLessThan(1e-5);
  });

  test('products of other inputs, or of other weights, are none that gate', async () => {
    const on = await openOwnWebGpu();
    const reference = await openReference();
    const step = (device: Device) => {
      const [a, b, c] = [1, 2, 3].map((seed) => device.tensor(noise(E * F, seed), { shape: [F, E] }));
      const half = device.tensor(f32ToF16(noise(E * F, 4)), { shape: [F, E], dtype: 'f16' });
      return compile(
        (x: Tensor, z: Tensor) => [
          linear(x, a!).mul(linear(z, b!)),
          linear(x, c!).mul(linear(x, half)),
          linear(x, a!).mul(linear(x, a!)),
        ],
        { device, inputs: [{ shape: [1, E] }, { shape: [1, E] }] },
      );
    };
    const [x, z] = [noise(E, 6), noise(E, 7)];
    const [actual, expected] = [await step(on)(x, z), await step(reference)(x, z)];
    for (const i of [0, 1, 2])
      expect(worst(await actual[i]!.data(), await expected[i]!.data()), `product ${i}`).toBeLessThan(1e-5);
    await on.dispose();
    await reference.dispose();
  });
});
