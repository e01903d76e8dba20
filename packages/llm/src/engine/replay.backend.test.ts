import { expect } from 'vitest';
import { openCountedGpu } from '../../../../test-support/counted-gpu.ts';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { sharedMissing } from '../../../../test-support/shared.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { loadModel, openEngine } from '../index.ts';

const path = 'models/stories260K';

conformance('replayed steps', (device) => {
  test('prefill and decoding are one session of ONNX Runtime, and sampling is another', async (context) => {
    if (backendName !== 'onnx') context.skip('only ONNX Runtime has sessions');
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const { executor } = device();
    if (!('sessionCount' in executor)) throw new Error('the executor does not count its sessions');
    const model = await loadModel(files, { device: device() });
    const before = executor.sessionCount as number;
    const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 64, maxBatchTokens: 8 });
    const prompts = [[1, 403, 407], Array.from({ length: 20 }, (_, i) => 3 + i)];
    await Promise.all(
      prompts.map(async (tokens) => {
        for await (const _ of engine.generate({ tokens, maxTokens: 10 }));
      }),
    );
    expect(executor.sessionCount).toBe(before + 2);
    await engine.dispose();
    await model.dispose();
  });

  test('decoding creates no GPU object', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip('only WebGPU has GPU objects');
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const { device: counted, made } = await openCountedGpu();
    const model = await loadModel(files, { device: counted });
    const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 64 });
    const stream = engine.generate({ tokens: [1, 403, 407, 261, 378], maxTokens: 31 });
    // steps of one row at 16 to 32 cached tokens are one plan; its first runs may create what the others replay
    for (let token = 0; token < 16; token++) await stream.next();
    expect(made()).toMatchObject({ createBuffer: expect.any(Number), createBindGroup: expect.any(Number) });
    for (let token = 16; token < 26; token++) await stream.next();
    expect(made()).toEqual({});
    await stream.return();
    await engine.dispose();
    await model.dispose();
    await counted.trim();
    expect(counted.memory().live).toBe(0);
    await counted.dispose();
  }, 120_000);
});
