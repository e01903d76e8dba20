import { type KvCache, memoryTier, type PrefixTierOptions, pagedCache } from '@heddle/kvcache';
import { expect } from 'vitest';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { type Engine, type ForwardHooks, loadModel, openEngine } from '../index.ts';

const prompts = [0, 1, 2, 3].map((first) => Array.from({ length: 17 }, (_, i) => (3 * i + 5 * first) % 16));

async function collect(engine: Engine, tokens: readonly number[], tenant?: string): Promise<number[]> {
  const all: number[] = [];
  for await (const token of engine.generate({ tokens, maxTokens: 6, ...(tenant && { tenant }) })) all.push(token);
  return all;
}

conformance('an engine over tiers', (device) => {
  test('gives the tokens of one that shares nothing, from every tier and after a restart', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    let cache: KvCache | undefined;
    const open = (cacheTiers: PrefixTierOptions | undefined, change: { hooks?: ForwardHooks } = {}) =>
      openEngine(model, {
        maxSequences: 2,
        maxSequenceTokens: 32,
        ...(cacheTiers && { cacheTiers }),
        ...change,
        cache: (on, size) => {
          cache = pagedCache(on, { ...size, blockSize: 4, tokens: 32, ...(!cacheTiers && { share: false }) });
          return cache;
        },
      });
    const all = async (engine: Engine) => {
      const rounds: number[][][] = [];
      for (let round = 0; round < 2; round++) {
        rounds.push([]);
        for (const tokens of prompts) rounds.at(-1)!.push(await collect(engine, tokens));
      }
      expect(rounds[1]).toEqual(rounds[0]);
      cache!.checkIntegrity();
      return rounds[0]!;
    };
    const plain = open(undefined);
    const expected = await all(plain);
    await plain.dispose();

    // four prompts of five blocks in a cache of eight: each has been forgotten when it comes again
    const cold = open({ cold: 128, load: 'always' });
    expect(await all(cold)).toEqual(expected);
    expect(cache!.stats().tiers[1]!.promotions).toBeGreaterThanOrEqual(3 * 16);
    await cold.dispose();

    const store = memoryTier();
    const tiers = { cold: 16, store, model: 'tiny', load: 'always', timeoutMs: 10_000 } as const;
    const first = open(tiers);
    expect(await all(first)).toEqual(expected);
    await first.dispose();
    const again = open(tiers);
    // together: they wait for the store, and for each other
    expect(await Promise.all(prompts.map((tokens) => collect(again, tokens)))).toEqual(expected);
    expect(cache!.stats()).toMatchObject({ sequences: 0, hitTokens: 4 * 16 });
    cache!.checkIntegrity();
    // another tenant has another namespace
    expect(await collect(again, prompts[0]!, 'another')).toEqual(expected[0]);
    expect(cache!.stats().hitTokens).toBe(4 * 16);
    await again.dispose();

    // what hooks have changed is another thing
    const hooks: ForwardHooks = { digest: 'three times', at: (layer, x) => (layer === 1 ? x.mul(3) : x) };
    const hooked = open(undefined, { hooks });
    const changed = await all(hooked);
    await hooked.dispose();
    const stored = open(tiers, { hooks });
    expect(await collect(stored, prompts[0]!)).toEqual(changed[0]);
    expect(cache!.stats().hitTokens).toBe(0);
    await stored.dispose();
    await model.dispose();
  }, 120_000);

  test('goes on where the store does not answer, and where a request ends while it waits', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const store = { ...memoryTier(), has: () => new Promise<boolean[]>(() => {}) };
    let cache: KvCache | undefined;
    const engine = openEngine(model, {
      maxSequences: 2,
      maxSequenceTokens: 32,
      cacheTiers: { store, model: 'tiny', load: 'always', timeoutMs: 60 },
      cache: (on, size) => {
        cache = pagedCache(on, { ...size, blockSize: 4 });
        return cache;
      },
    });
    const abort = new AbortController();
    const left = engine.generate({ tokens: prompts[1]!, maxTokens: 4 }, { signal: abort.signal });
    const ended = expect(left.next()).rejects.toThrow();
    const [one] = await Promise.all([collect(engine, prompts[0]!), Promise.resolve().then(() => abort.abort())]);
    await ended;
    expect(one).toHaveLength(6);
    expect(cache!.stats()).toMatchObject({ sequences: 0, blocksUsed: 0 });
    cache!.checkIntegrity();
    await engine.dispose();
    await model.dispose();
  }, 60_000);
});
