import { gelu, layerNorm, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { adamw } from '../optimizers/adam.ts';
import type { TrainStepSettings } from '../step/options.ts';
import { planMemory } from './plan-memory.ts';

const [E, rows] = [8, 512];

const unknown = 'only WebGPU knows what a plan takes';

conformance('blocks with norms, biases and two products', (device) => {
  /** Bytes of activations and gradients of a step with so many blocks. */
  const withBlocks = (layers: number) => {
    const variable = (name: string, ...shape: number[]) => device().zeroVariable(shape, { name });
    const weights = Array.from({ length: layers }, (_, i) => ({
      gain: variable(`gain${i}`, E),
      shift: variable(`shift${i}`, E),
      wide: variable(`wide${i}`, E, 4 * E),
      bias: variable(`bias${i}`, 4 * E),
      narrow: variable(`narrow${i}`, 4 * E, E),
    }));
    const model = {
      parameters: weights,
      forward: (
        { x }: { readonly x: Tensor },
        { blocks }: { blocks(x: Tensor, blocks: readonly ((x: Tensor) => Tensor)[]): Tensor },
      ) =>
        blocks(
          x,
          weights.map(({ gain, shift, wide, bias, narrow }) => (h: Tensor) => {
            const inner = gelu(layerNorm(h, gain, shift).matmul(wide).add(bias));
            return h.add(inner.matmul(narrow));
          }),
        ),
    };
    const batch = { x: { data: new Float32Array(rows * E), shape: [rows, E] } };
    const planned = async (settings: Partial<TrainStepSettings>) => {
      const options = { model, loss: (y: Tensor) => y.pow(2).mean(), optimizer: adamw({ learningRate: 1 }) };
      return (await planMemory({ ...options, ...settings }, batch)).activationBytes;
    };
    const dispose = () => {
      for (const weight of weights.flatMap((layer) => Object.values(layer))) weight.dispose();
    };
    return { planned, dispose };
  };

  test('that are computed again hold little, also where all gradients are looked at', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip(unknown);
    const { planned, dispose } = withBlocks(8);
    const none = await planned({});
    for (const settings of [{}, { updateInBackward: true }])
      expect(await planned({ checkpointing: 'every', ...settings })).toBeLessThan(0.45 * none);
    dispose();
  }, 120_000);

  test('in segments of the root of their number hold as much as that root', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip(unknown);
    const [few, many] = [withBlocks(16), withBlocks(64)];
    const bytes = [
      await few.planned({ checkpointing: { segment: 4 } }),
      await many.planned({ checkpointing: { segment: 8 } }),
    ];
    expect(bytes[1]! / bytes[0]!).toBeLessThanOrEqual(2.3);
    few.dispose();
    many.dispose();
  }, 120_000);
});
