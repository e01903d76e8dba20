import type { Device, Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { adamw } from '../optimizers/adam.ts';
import { createTrainStep } from '../step/train-step.ts';
import { largestBatch, planMemory } from './plan-memory.ts';

const [E, layers] = [32, 4];

function network(device: Device) {
  const weights = Array.from({ length: layers }, (_, i) =>
    device.variable(
      Float32Array.from({ length: E * E }, (_, j) => Math.sin(i * 31 + j) * 0.2),
      { shape: [E, E], name: `w${i}` },
    ),
  );
  const model = {
    parameters: weights,
    forward: (
      { x }: { readonly x: Tensor },
      context: { blocks(x: Tensor, blocks: ((x: Tensor) => Tensor)[]): Tensor },
    ) =>
      context.blocks(
        x,
        weights.map((w) => (hidden: Tensor) => hidden.matmul(w).tanh().mul(2).sin()),
      ),
  };
  const loss = (y: Tensor) => y.pow(2).mean();
  const dispose = () => {
    for (const weight of weights) weight.dispose();
  };
  return { options: { model, loss, optimizer: adamw({ learningRate: 1e-3 }) }, dispose };
}
const batch = (rows: number) => ({ x: { data: new Float32Array(rows * E), shape: [rows, E] } });

conformance('memory of a step before it runs', (device) => {
  test('is what the step then holds; the largest batch is the last that fits', async (context) => {
    const { options, dispose } = network(device());
    if (!backendName.startsWith('webgpu')) {
      await expect(planMemory(options, batch(4))).rejects.toMatchObject({ code: 'ERR_DEVICE' });
      dispose();
      return context.skip('only WebGPU knows what a plan takes');
    }
    const live = device().memory().live;
    const plain = await planMemory(options, batch(64));
    expect(device().memory().live).toBe(live); // nothing is left
    expect(plain.savedByCheckpointing).toBe(0);
    const checkpointed = await planMemory({ ...options, checkpointing: 'every' }, batch(64));
    expect(checkpointed.savedByCheckpointing).toBe(plain.activationBytes - checkpointed.activationBytes);
    expect(checkpointed.savedByCheckpointing).toBeGreaterThan(0);
    const step = createTrainStep(options);
    await step(batch(64));
    expect(step.plannedBytes()!.peak).toBe(plain.activationBytes);
    step.dispose();

    const found = await largestBatch(options, { maxBytes: plain.totalBytes, batch, most: 100 });
    expect(found.rows).toBeGreaterThanOrEqual(64);
    expect(found.totalBytes).toBeLessThanOrEqual(plain.totalBytes);
    expect((await planMemory(options, batch(found.rows + 1))).totalBytes).toBeGreaterThan(plain.totalBytes);
    await expect(largestBatch(options, { maxBytes: 1000, batch })).rejects.toThrow(
      /one row takes \d+ bytes, the budget is 1000/,
    );
    await expect(largestBatch(options, { maxBytes: 0, batch })).rejects.toThrow(/maxBytes must be positive/);
    dispose();
  }, 120_000);
});
