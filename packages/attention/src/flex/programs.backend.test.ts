import type { Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { openCountedGpu } from '../../../../test-support/counted-gpu.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { attention } from '../dense/attention.ts';
import { flash } from '../kernels/flash.ts';
import { normalTensor } from '../testing/numbers.ts';
import { packedCase } from '../testing/packed-case.ts';
import { packedTensors } from '../testing/packed-tensors.ts';

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
    const c = packedCase({ rows: [2], before: [5] });
    const { q: rows, k: keys, v: ofRows, kv, spec } = packedTensors(device, c);
    const runPacked = async (by: number) => {
      const out = flash().attend(rows, keys, ofRows, kv, { ...spec, scoreMod: (score) => score.mul(by) });
      const values = Array.from(await out.data());
      out.dispose();
      return values;
    };
    for (const each of [run, runPacked]) {
      const first = await each(0.5);
      await each(0.5);
      made();
      expect(await each(0.5)).toEqual(first);
      expect(await each(0.5)).toEqual(first);
      expect(made()['createBindGroup']).toBeUndefined();
      expect(await each(0.25)).not.toEqual(first);
      expect(made()['createComputePipelineAsync'] ?? made()['createComputePipeline']).toBeGreaterThan(0);
    }
    await device.dispose();
  }, 120_000);
});
