import { type KvCache, pagedCache } from '@heddle/kvcache';
import { expect } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needSharedJson, sharedMissing } from '../../../../test-support/shared.ts';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { type Engine, type GenerationRequest, loadModel, openEngine } from '../index.ts';

const path = 'models/stories260K';
type Golden = Record<string, { prompt: number[]; tokens: number[] }>;

async function collect(engine: Engine, request: GenerationRequest): Promise<number[]> {
  const all: number[] = [];
  for await (const token of engine.generate(request)) all.push(token);
  return all;
}

conformance('prompts that begin alike', (device) => {
  test('are computed once, and every token is that of an engine that shares nothing', async (context) => {
    leaveToNode(context);
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const golden = Object.values((await needSharedJson(context, `${path}/golden-greedy.json`)) as Golden);
    const model = await loadModel(files, { device: device() });
    let cache: KvCache | undefined;
    const engine = openEngine(model, {
      maxSequences: 3,
      maxSequenceTokens: 96,
      maxBatchTokens: 16,
      cache: (on, size) => {
        cache = pagedCache(on, { ...size, blockSize: 4, tokens: 160 }); // too little for three: some are preempted
        return cache;
      },
    });
    // a prompt, what a chat makes of it, and the same with another end
    const { prompt, tokens } = golden[0]!;
    const turns = [10, 25, 40].map((length) => ({
      tokens: [...prompt, ...tokens.slice(0, length)],
      expected: tokens.slice(length, length + 30),
    }));
    for (const { tokens: turn, expected } of turns)
      expect(await collect(engine, { tokens: turn, maxTokens: expected.length })).toEqual(expected);
    const { hitTokens, missTokens } = cache!.stats();
    // the second and the third turn find nearly all of their prompts, which the turn before has generated
    expect(hitTokens).toBeGreaterThan(turns[1]!.tokens.length + turns[2]!.tokens.length - 10);
    expect(hitTokens + missTokens).toBe(turns.reduce((sum, turn) => sum + turn.tokens.length, 0));
    cache!.checkIntegrity();

    // six at once, three of them alike, in a cache that they fill
    const fresh = openEngine(model, {
      maxSequences: 3,
      maxSequenceTokens: 96,
      maxBatchTokens: 8,
      cache: (on, size) => {
        cache = pagedCache(on, { ...size, blockSize: 4, tokens: 160 });
        return cache;
      },
    });
    const requests = [
      turns[2]!,
      turns[2]!,
      turns[1]!,
      turns[2]!,
      ...golden.slice(1).map((one) => ({ tokens: one.prompt, expected: one.tokens.slice(0, 30) })),
    ];
    const results = await Promise.all(
      requests.map(({ tokens: of, expected }) => collect(fresh, { tokens: of, maxTokens: expected.length })),
    );
    expect(results).toEqual(requests.map(({ expected }) => expected));
    // those that come together wait for the one that computes what they share
    expect(cache!.stats().hitTokens).toBeGreaterThanOrEqual(2 * (turns[2]!.tokens.length - 5));
    expect(cache!.stats()).toMatchObject({ sequences: 0, blocksUsed: 0 });
    cache!.checkIntegrity();
    await fresh.dispose();
    await engine.dispose();
    await model.dispose();
  }, 240_000);

  test('of different tenants share nothing', async (context) => {
    leaveToNode(context);
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const model = await loadModel(files, { device: device() });
    let cache: KvCache | undefined;
    const engine = openEngine(model, {
      maxSequences: 2,
      maxSequenceTokens: 64,
      cache: (on, size) => {
        cache = pagedCache(on, { ...size, blockSize: 4 });
        return cache;
      },
    });
    const request = { tokens: [1, 403, 407, 261, 378, 432, 383, 286, 261], maxTokens: 4 };
    const first = await collect(engine, { ...request, tenant: 'a' });
    expect(await collect(engine, { ...request, tenant: 'b' })).toEqual(first);
    expect(cache!.stats().hitTokens).toBe(0);
    expect(await collect(engine, { ...request, tenant: 'a' })).toEqual(first);
    expect(cache!.stats().hitTokens).toBe(8);
    await engine.dispose();
    await model.dispose();
  }, 240_000);
});
