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

test('a request draws anew each time, and the same where it names its sequence', async () => {
  const drawing = { ...request, sampler: sampler({ temperature: 4, seed: 3 }) };
  const draw = (sequence?: number) =>
    collect(engine.generate({ ...drawing, ...(sequence !== undefined && { sequence }) }));
  expect(await draw()).not.toEqual(await draw());
  const named = await draw(5);
  await draw();
  expect(await draw(5)).toEqual(named);
  expect(await draw(6)).not.toEqual(named);
  for (const sequence of [-1, 0.5, 2 ** 32])
    expect(() => engine.generate({ ...request, sequence })).toThrow(/sequence must be an integer from 0, below 2\^32/);
});

test('an empty prompt is refused in words of the engine', () => {
  expect(() => engine.generate({ tokens: [], maxTokens: 1 })).toThrow('generate: a prompt has at least one token');
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
  expect(device.memory().live).toBe(before);
});
