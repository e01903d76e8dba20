import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { type Engine, greedy, type LoadedModel, loadModel, openEngine, type Sampler, sampler } from '../index.ts';

let device: Device;
let model: LoadedModel;
let engine: Engine;
beforeAll(async () => {
  device = await openReference();
  model = await loadModel(tinyLlama(), { device });
  engine = openEngine(model, { maxSequences: 4 });
});
afterAll(async () => {
  await engine.dispose();
  await model.dispose();
  await device.dispose();
});

async function collect(tokens: AsyncIterable<number>): Promise<number[]> {
  const all: number[] = [];
  for await (const token of tokens) all.push(token);
  return all;
}

const request = { tokens: [1, 2, 3], maxTokens: 8 };

test('a sampler that fails ends its own request, and no other of the same step', async () => {
  const expected = await collect(engine.generate(request));
  const failing: [sampler: Sampler, message: string | RegExp][] = [
    [
      {
        name: 'broken',
        sample: () => {
          throw new Error('no more luck');
        },
      },
      'no more luck',
    ],
    [{ name: 'outside', sample: () => 16 }, "sampler 'outside': token ids must lie in [0, 15], got 16"],
    [{ name: 'nothing', sample: () => undefined as never }, "sampler 'nothing': token ids must lie in [0, 15]"],
    [
      { name: 'late', sample: (logits, at) => (at.step < 3 ? greedy().sample(logits, at) : 0.5) },
      "sampler 'late': token ids must lie in [0, 15], got 0.5",
    ],
  ];
  for (const [broken, message] of failing) {
    const others = [collect(engine.generate(request)), collect(engine.generate(request))];
    const failed = engine.generate({ ...request, sampler: broken });
    await expect(collect(failed)).rejects.toThrow(message);
    expect(await failed.ended).toMatchObject({ reason: 'error', newTokens: broken.name === 'late' ? 3 : 0 });
    expect(await Promise.all(others)).toEqual([expected, expected]);
  }
});

test('the same seed gives the same text again; without one, requests draw anew', async () => {
  const draw = (drawing: Sampler, sequence?: number) =>
    collect(engine.generate({ ...request, sampler: drawing, ...(sequence !== undefined && { sequence }) }));
  const named = () => sampler({ temperature: 4, seed: 3 });
  const first = await draw(named());
  await draw(sampler({ temperature: 4, seed: 4 }));
  expect(await draw(named())).toEqual(first);
  expect(await Promise.all([draw(named()), draw(greedy()), draw(named())])).toEqual([
    first,
    await draw(greedy()),
    first,
  ]);
  expect(await draw(named(), 0)).toEqual(first);
  expect(await draw(named(), 1)).not.toEqual(first);
  const unnamed = sampler({ temperature: 4 });
  expect(await draw(unnamed)).not.toEqual(await draw(unnamed));
  expect(await draw(unnamed, 5)).toEqual(await draw(unnamed, 5));
  for (const sequence of [-1, 0.5, 2 ** 32])
    expect(() => engine.generate({ ...request, sequence })).toThrow(/sequence must be an integer from 0, below 2\^32/);
});

test('an empty prompt is refused in words of the engine', () => {
  expect(() => engine.generate({ tokens: [], maxTokens: 1 })).toThrow('generate: a prompt has at least one token');
});

test('a request that is none is refused, with what was expected', () => {
  const cases: [unknown, RegExp][] = [
    [undefined, /^generate: takes options \{ tokens, maxTokens, .* got undefined/],
    [{}, /^generate: tokens must be a list of token ids, got undefined/],
    [{ tokens: 'Once', maxTokens: 1 }, /got string Once/],
    [{ tokens: [1], maxTokens: 1, stopToken: [2] }, /^generate: has no option stopToken; its options are tokens/],
    [{ tokens: [1], maxTokens: 1, stopTokens: 2 }, /stopTokens must be a list of token ids, got number 2/],
    [{ tokens: [1], maxTokens: 1, stopTokens: [0.5] }, /stopTokens must be non-negative integers, got 0.5/],
  ];
  for (const [request, message] of cases)
    expect(() => engine.generate(request as never)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringMatching(message) }),
    );
});

test('rows and masks that are none are refused', () => {
  const cases: [unknown[], RegExp][] = [
    [[], /takes a list of rows of token ids, got undefined/],
    [[[1, 2]], /takes a list of rows of token ids, got a list of number 1/],
    [[[[1, 2]], { attention_mask: [[1, 1]] }], /has no option attention_mask; its options are attentionMask/],
    [[[[1, 2]], { attentionMask: [[0, 2]] }], /attentionMask must be of 0 and 1, got 2/],
  ];
  return Promise.all(
    cases.map(([rows, message]) =>
      expect((async () => model.logits(...(rows as [never])))()).rejects.toMatchObject({
        code: 'ERR_ARGUMENT',
        message: expect.stringMatching(message),
      }),
    ),
  );
});

test('disposing of an engine ends its streams, which say so', async () => {
  const other = openEngine(model, { maxSequences: 1 });
  const stream = other.generate({ ...request, maxTokens: 28 });
  await stream.next();
  await other[Symbol.asyncDispose]();
  await expect(collect(stream)).rejects.toThrow('the engine was disposed of before the request had ended');
  expect(() => other.generate(request)).toThrow('generate: the engine was disposed of');
  expect(() => other.explain()).toThrow('explain: the engine was disposed of');
  await expect(other.prepare(1)).rejects.toThrow('prepare: the engine was disposed of');
});

test('no engine opens over a model that was disposed of, and none of its cache is left', async () => {
  const gone = await loadModel(tinyLlama(), { device });
  await gone.dispose();
  const before = device.memory().live;
  expect(() => openEngine(gone)).toThrow(/createEngine: the model: .* disposed of/);
  expect(device.memory().live).toBeLessThanOrEqual(before);
});

test('the cache takes what fits the memory, says how much that is, and what to lower where nothing does', async () => {
  const small = await openReference({ memoryBudget: 4 * 2 ** 20 });
  const long = await loadModel(tinyLlama(undefined, { max_position_embeddings: 8192 }), { device: small });
  const left = small.memory().budget! - small.memory().live;
  // 2 layers of keys and values of 4, which the reference keeps in 8 bytes each
  const usual = openEngine(long);
  const { maxSequences, maxSequenceTokens, cacheTokens, cacheBytes } = usual.size;
  expect([maxSequences, maxSequenceTokens]).toEqual([8, 8192]);
  expect(cacheTokens).toBeLessThanOrEqual(left / 2 / 128);
  expect(cacheTokens).toBeGreaterThan(left / 2 / 128 - 32);
  expect(usual.explain()).toMatch(
    new RegExp(
      `cache: 8 sequences of at most 8,192 tokens, ${cacheTokens.toLocaleString('en')} tokens in all, .* bytes`,
    ),
  );
  expect(small.memory().owners.find(({ owner }) => owner === 'kv cache')!.bytes).toBe(cacheBytes);
  await usual.dispose();
  const asked = openEngine(long, { cacheBytes: 128 * 100, maxSequences: 2 });
  expect(asked.size).toMatchObject({ maxSequences: 2, maxSequenceTokens: 96, cacheTokens: 96 });
  expect(await collect(asked.generate(request))).toHaveLength(8);
  expect(() => asked.generate({ tokens: [1, 2], maxTokens: 100 })).toThrow(/96/);
  await asked.dispose();
  // bounds that are asked for are kept where they are small
  const bound = openEngine(long, { maxSequences: 2, maxSequenceTokens: 40 });
  expect(bound.size).toMatchObject({ maxSequences: 2, maxSequenceTokens: 40, cacheTokens: 96 });
  await bound.dispose();
  const rest = small.tensor(new Float32Array(400_000));
  await rest.data();
  const before = small.memory().live;
  expect(() => openEngine(long, { maxSequenceTokens: 8192 })).toThrow(
    /openEngine: no memory for a cache of 8192 tokens \(maxSequences 8, maxSequenceTokens 8192; lower them, or cacheBytes\)/,
  );
  expect(small.memory().live).toBeLessThanOrEqual(before);
  for (const junk of [{ maxSequences: 0 }, { cacheBytes: -1 }, { maxSequencs: 3 }, { maxSequenceTokens: 1.5 }])
    expect(() => openEngine(long, junk as never)).toThrow(/openEngine: /);
  rest.dispose();
  await long.dispose();
  await small.dispose();
});
