import { type KvCache, memoryTier, pagedCache } from '@heddle/kvcache';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needShared, sharedMissing } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { loadModel, openEngine } from '../index.ts';

/** A checkpoint for each kind of layer that keeps something of its own. */
const fixtures = ['gemma3', 'qwen3_5', 'granite4', 'lfm2', 'deepseek-v3'] as const;

conformance('tiers of layers', (device) => {
  test.for(fixtures)('%s: from tiers and after a restart come the tokens of transformers', async (name, context) => {
    leaveToNode(context);
    if (backendName.startsWith('webgpu') && name !== 'qwen3_5') context.skip('one kind of layer is enough there');
    const path = `fixtures/models/${name}`;
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const expected = await openSafetensors(await needShared(context, `${path}/expected.safetensors`));
    const integers = async (tensor: string) => [...new Int32Array((await expected.read(tensor)).buffer)];
    const tokens = await integers('greedy_prompt');
    const right = (await integers('greedy_tokens')).slice(0, 12);
    const model = await loadModel(files, { device: device() });
    const store = memoryTier();
    let cache: KvCache | undefined;
    const open = () =>
      openEngine(model, {
        ...{ maxSequences: 1, maxSequenceTokens: tokens.length + 16 },
        cacheTiers: { cold: 4 * 64, store, model: name, load: 'always', timeoutMs: 20_000 },
        cache: (on, size) => {
          cache = pagedCache(on, { ...size, blockSize: 4, checkpointEvery: 4, checkpoints: 2 });
          return cache;
        },
      });
    const generated = async (engine: ReturnType<typeof open>, of: readonly number[]) => {
      const found: number[] = [];
      for await (const token of engine.generate({ tokens: of, maxTokens: right.length })) found.push(token);
      return found;
    };
    const hits = async (engine: ReturnType<typeof open>) => {
      const before = cache!.stats().hitTokens;
      expect(await generated(engine, tokens)).toEqual(right);
      cache!.checkIntegrity();
      return cache!.stats().hitTokens - before;
    };
    const first = open();
    expect(await hits(first)).toBe(0);
    // others come between, for which it is forgotten
    for (const shift of [1, 2, 3])
      await generated(
        first,
        tokens.map((token) => Math.max(1, token - shift)),
      );
    expect(await hits(first)).toBeGreaterThan(0);
    expect(cache!.stats().tiers[1]!.promotions + cache!.stats().evictions).toBeGreaterThan(0);
    await first.dispose();
    const again = open();
    expect(await hits(again)).toBeGreaterThan(0);
    await again.dispose();
    await model.dispose();
  });
});
