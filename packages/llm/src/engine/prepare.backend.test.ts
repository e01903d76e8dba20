import { expect } from 'vitest';
import { openCountedGpu } from '../../../../test-support/counted-gpu.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, openEngine } from '../index.ts';

conformance('prepare', (device) => {
  test('compiles everything that prompts and decoding of these sizes meet', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip('only WebGPU compiles kernels for sizes');
    const { device: counted, made } = await openCountedGpu();
    const model = await loadModel(
      tinyLlama(() => {}, { max_position_embeddings: 128 }),
      { device: counted },
    );
    const engine = openEngine(model, { maxSequences: 3, maxSequenceTokens: 96, maxBatchTokens: 16 });
    const lengths = [5, 30];
    await engine.prepare({ promptTokens: lengths, sequences: 3, sequenceTokens: 72 });
    expect(made()['createComputePipelineAsync']).toBeGreaterThan(10);
    const generate = async (promptTokens: number, maxTokens: number) => {
      const tokens = Array.from({ length: promptTokens }, (_, i) => (i * 5 + promptTokens) % 16);
      for await (const _ of engine.generate({ tokens, maxTokens }));
    };
    // alone, and beside each other, until they are as long as they may be
    for (const length of lengths) await generate(length, 72 - length);
    await Promise.all([generate(30, 42), generate(5, 60), generate(5, 50)]);
    const { createComputePipelineAsync, createShaderModule, createComputePipeline } = made();
    expect({ createComputePipelineAsync, createShaderModule, createComputePipeline }).toEqual({});
    await engine.dispose();
    await model.dispose();
    await counted.dispose();
  }, 240_000);

  test('refuses counts that are none', async () => {
    const model = await loadModel(tinyLlama(), { device: device() });
    const engine = openEngine(model, { maxSequences: 1 });
    for (const junk of [0, -1, 1.5, Number.NaN, [], { promptTokens: 4, sequences: 0 }])
      await expect(engine.prepare(junk as never)).rejects.toThrow(/prepare: .* must be a positive integer/);
    await expect(engine.prepare({ promptToken: 4 } as never)).rejects.toThrow(/prepare: has no option promptToken; /);
    await engine.dispose();
    await expect(engine.prepare(4)).rejects.toThrow(/disposed/);
    await model.dispose();
  });
});
