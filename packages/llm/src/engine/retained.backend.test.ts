import { type AttentionKernel, flash } from '@heddle/attention';
import { type KvCache, pagedCache } from '@heddle/kvcache';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, openEngine } from '../index.ts';

const [block, hot, keepFirst] = [4, 8, 4];
const prompts = [0, 1].map((first) => Array.from({ length: 6 + first }, (_, i) => (3 * i + 5 * first) % 16));

/** Of all tokens, those that a cache still has: the first block, the last two whole ones, and the open one. */
function keptOnly(kernel: AttentionKernel): AttentionKernel {
  return {
    ...kernel,
    attend: (q, k, v, kv, spec) =>
      kernel.attend(q, k, v, kv, {
        ...spec,
        maskMod: ({ q, k }) => k.less(keepFirst).or(k.div(block).greaterEqual(q.div(block).sub(hot / block))),
      }),
  };
}

async function collect(stream: AsyncIterable<number>): Promise<number[]> {
  const all: number[] = [];
  for await (const token of stream) all.push(token);
  return all;
}

conformance('an engine whose cache keeps the last tokens and the first', (device) => {
  test('gives the tokens of attention to those alone, at their positions', async (context) => {
    if (!['reference', 'onnx'].includes(backendName)) context.skip('its mask takes a software GPU too long to compile');
    const model = await loadModel(tinyLlama(), { device: device() });
    const sizes = { maxSequences: 2, maxSequenceTokens: 32 };
    let cache: KvCache | undefined;
    const engines = [
      openEngine(model, { ...sizes, attention: keptOnly(flash()) }),
      openEngine(model, sizes),
      openEngine(model, {
        ...sizes,
        cache: (on, size) => {
          cache = pagedCache(on, { ...size, blockSize: block, retain: { hot, keepFirst } });
          return cache;
        },
      }),
    ];
    const found: number[][][] = [];
    for (const engine of engines) {
      const streams = prompts.map((tokens) => engine.generate({ tokens, maxTokens: 20 }));
      found.push(await Promise.all(streams.map(collect)));
    }
    const [expected, ofAll, retained] = found;
    expect(retained).toEqual(expected);
    expect(retained).not.toEqual(ofAll);
    cache!.checkIntegrity();
    expect(cache!.exact).toBe(false);
    expect(cache!.stats()).toMatchObject({ lossy: ['retain'], sequences: 0, blocksUsed: 0 });
    for (const engine of engines) await engine.dispose();
    await model.dispose();
  }, 120_000);
});
