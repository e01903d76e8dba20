import type { Device, Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import type { Checkpointing } from '../model/checkpointing.ts';
import { adamw } from '../optimizers/adam.ts';
import { chain } from '../optimizers/chain.ts';
import { clipByGlobalNorm } from '../optimizers/clip.ts';
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
  return { options: { model, loss, optimizer: adamw({ learningRate: 1e-3 }) }, dispose, weights };
}
const batch = (rows: number) => ({ x: { data: new Float32Array(rows * E), shape: [rows, E] } });

conformance('memory of a step before it runs', (device) => {
  test('is what the step then holds; the largest batch is the last that fits', async () => {
    const { options, dispose } = network(device());
    if (!backendName.startsWith('webgpu')) {
      await expect(planMemory(options, batch(4))).rejects.toMatchObject({ code: 'ERR_DEVICE' });
      dispose();
      return; // only WebGPU knows what a plan takes
    }
    const live = device().memory().live;
    const plain = await planMemory(options, batch(64));
    expect(device().memory().live).toBeLessThanOrEqual(live); // nothing is left
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

  test('parameters and moments are changed where they are, together', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip('a test of the WebGPU executor');
    const { options, dispose, weights } = network(device());
    const optimizer = chain(clipByGlobalNorm(1), options.optimizer);
    const step = createTrainStep({ ...options, optimizer });
    await step(batch(4));
    const kernels = step.explain().split('\n');
    for (const { name } of weights) {
      const changed = [name, `optimizer.${name}.firstMoment`, `optimizer.${name}.secondMoment`];
      const writing = kernels.filter((kernel) => kernel.includes(`${changed[1]} f32`));
      expect(writing).toEqual([
        expect.stringContaining(changed.map((variable) => `${variable} f32[${E},${E}]`).join(', ')),
      ]);
    }
    step.dispose();
    dispose();
  });

  test('less of it with blocks that are computed again changes no value', async () => {
    const run = async (checkpointing: Checkpointing) => {
      const { options, dispose, weights } = network(device());
      const step = createTrainStep({ ...options, checkpointing });
      const x = { data: Float32Array.from({ length: 128 * E }, (_, i) => Math.cos(i)), shape: [128, E] };
      const losses = [await step({ x }), await step({ x })].map(({ loss }) => loss);
      const values = [...(await weights[0]!.data())];
      const peak = step.plannedBytes()?.peak;
      const explained = step.explain();
      step.dispose();
      dispose();
      return { losses, values, peak, explained };
    };
    const [none, segments] = [await run('none'), await run({ segment: 2 })];
    expect(segments.explained).toContain('of 4 blocks these are computed again in the backward pass: 0-1, 2-3');
    for (const [i, loss] of segments.losses.entries()) expect(Math.abs(loss / none.losses[i]! - 1)).toBeLessThan(1e-6);
    if (!backendName.startsWith('onnx')) expect(segments.values).toEqual(none.values);
    if (!backendName.startsWith('webgpu')) return; // only WebGPU knows what a plan takes
    expect(segments.peak).toBeLessThan(none.peak!);
    const chosen = await run({ maxBytes: none.peak! - 1 });
    expect(chosen.peak).toBeLessThan(none.peak!);
    expect(chosen.values).toEqual(none.values);
    expect((await run({ maxBytes: none.peak! })).explained).toContain('none of 4 blocks');
    await expect(run({ maxBytes: 100 })).rejects.toThrow(/no checkpointing fits 100 bytes/);
  }, 120_000);
});
