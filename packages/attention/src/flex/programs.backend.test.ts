import type { Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { openCountedGpu } from '../../../../test-support/counted-gpu.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { attention } from '../dense/attention.ts';
import { normalTensor } from '../testing/numbers.ts';

conformance('score functions called eagerly', () => {
  test('equal calls share one program, whose runs make no GPU object; others have their own', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip('only WebGPU has GPU objects');
    leaveToNode(context);
    const { device, made } = await openCountedGpu();
    const [q, k, v] = [1, 2, 3].map((seed) => normalTensor(device, seed, [1, 4, 1, 16])) as [Tensor, Tensor, Tensor];
    const run = async (by: number) => {
      const out = attention(q, k, v, {
        scoreMod: (score, place) => score.add(place.q.sub(place.k).cast('f32').mul(by)),
        maskMod: (place) => place.k.lessEqual(place.q),
      });
      const values = Array.from(await out.data());
      out.dispose();
      return values;
    };
    const first = await run(0.5);
    await run(0.5);
    made();
    expect(await run(0.5)).toEqual(first);
    expect(await run(0.5)).toEqual(first);
    expect(made()['createBindGroup']).toBeUndefined();
    expect(await run(0.25)).not.toEqual(first);
    expect(made()['createComputePipelineAsync'] ?? made()['createComputePipeline']).toBeGreaterThan(0);
    await device.dispose();
  }, 120_000);
});
