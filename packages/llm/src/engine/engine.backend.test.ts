import type { Device } from '@heddle/tensor';
import { expect, type TestContext } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needSharedJson, sharedMissing } from '../../../../test-support/shared.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { type LoadedModel, loadModel, openEngine, sampler } from '../index.ts';

const path = 'models/stories260K';
type Golden = Record<string, { prompt: number[]; tokens: number[] }>;

/** Loads the model, or skips the test where it is not here. */
async function load(
  device: Device,
  context: Pick<TestContext, 'skip'>,
  dtype: 'f32' | 'f16' = 'f32',
): Promise<LoadedModel> {
  const files = await sharedModel(path);
  return files ? loadModel(files, { device, dtype }) : context.skip(sharedMissing(path));
}

async function collect(tokens: AsyncIterable<number>): Promise<number[]> {
  const all: number[] = [];
  for await (const token of tokens) all.push(token);
  return all;
}

conformance('the engine on a real model', (device) => {
  test('writes what transformers writes, and the same in any company', async (context) => {
    const before = device().memory().live;
    const model = await load(device(), context);
    const golden = (await needSharedJson(context, `${path}/golden-greedy.json`)) as Golden;
    const cases = Object.entries(golden);
    for (const [text, { prompt }] of cases) expect(model.tokenizer!.encode(text)).toEqual(prompt);
    const requests = cases.map(([, { prompt, tokens }]) => ({
      request: { tokens: prompt, maxTokens: 100 },
      expected: tokens.slice(0, 100),
    }));

    const alone = openEngine(model, { maxSequences: 1, maxSequenceTokens: 128 });
    for (const { request, expected } of requests) expect(await collect(alone.generate(request))).toEqual(expected);
    await alone.dispose();

    // together, in chunks of four tokens, with room for two of the three at a time
    const together = openEngine(model, { maxSequences: 2, maxSequenceTokens: 128, maxBatchTokens: 4 });
    const results = await Promise.all(requests.map(({ request }) => collect(together.generate(request))));
    expect(results).toEqual(requests.map(({ expected }) => expected));
    await together.dispose();

    await model.dispose();
    await device().trim();
    expect(device().memory().live).toBeLessThanOrEqual(before);
  }, 240_000);

  test('draws the same with the same seed, and stops at stop tokens', async (context) => {
    const model = await load(device(), context);
    const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 64 });
    const request = (seed: number) => ({
      tokens: [1, 403, 407],
      maxTokens: 12,
      sampler: sampler({ temperature: 1, topK: 40, seed }),
    });
    const [a] = [await collect(engine.generate(request(7)))];
    const fresh = openEngine(model, { maxSequences: 2, maxSequenceTokens: 64 });
    expect(await collect(fresh.generate(request(7)))).toEqual(a);
    expect(await collect(fresh.generate(request(8)))).not.toEqual(a);
    await fresh.dispose();
    const greedy = await collect(engine.generate({ tokens: [1, 403, 407], maxTokens: 12 }));
    const stop = greedy[4]!;
    const stream = engine.generate({ tokens: [1, 403, 407], maxTokens: 12, stopTokens: [stop] });
    expect(await collect(stream)).toEqual(greedy.slice(0, greedy.indexOf(stop) + 1));
    expect(await stream.ended).toMatchObject({ reason: 'stop' });
    await engine.dispose();
    await model.dispose();
  }, 240_000);

  test('an aborted or abandoned request gives its room back, and the others go on', async (context) => {
    const model = await load(device(), context);
    const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 64 });
    const request = { tokens: [1, 403, 407], maxTokens: 20 };
    const controller = new AbortController();
    const aborted = engine.generate(request, { signal: controller.signal });
    await aborted.next();
    controller.abort();
    await expect(collect(aborted)).rejects.toMatchObject({ name: 'AbortError' });
    expect(await aborted.ended).toMatchObject({ reason: 'aborted' });
    for await (const _ of engine.generate(request)) break;
    expect(await collect(engine.generate(request))).toHaveLength(20);
    await engine.dispose();
    await model.dispose();
  }, 240_000);

  test('a request that can never run is refused at once', async (context) => {
    const model = await load(device(), context);
    const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 16 });
    expect(() => engine.generate({ tokens: [1, 2, 3], maxTokens: 100 })).toThrow(/16/);
    expect(() => engine.generate({ tokens: [1, 512], maxTokens: 1 })).toThrow(
      /token ids must lie in \[0, 511\], got 512/,
    );
    expect(() => engine.generate({ tokens: [], maxTokens: 1 })).toThrow(/at least one token/);
    await engine.dispose();
    expect(() => engine.generate({ tokens: [1], maxTokens: 1 })).toThrow(/disposed/);
    await model.dispose();
  });
});
