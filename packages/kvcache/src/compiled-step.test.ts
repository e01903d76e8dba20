import { compile } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { type StepTensors, stepFeeds, stepOptions } from './compiled-step.ts';
import { keyValueShape } from './kv-shape.ts';
import { openSequence } from './open-sequence.ts';
import { pagedCache } from './paged-cache.ts';

test('a step is compiled and run over a cache of several sequences; tokens that are too few are refused', async () => {
  await using device = await openReference();
  const shape = keyValueShape({ layers: 1, heads: 1, headDim: 4, dtype: 'f32' });
  using cache = pagedCache(device, { shape, maxSequences: 2, maxSequenceTokens: 32 });
  const step = compile(
    ({ tokens, positions, segments, cache: inputs }: StepTensors) => {
      const kv = cache.bind(inputs);
      const x = tokens.cast('f32').reshape([-1, 1, 1]).expand([tokens.shape[0]!, 1, 4]);
      return {
        rows: [tokens.mul(1), positions.mul(1), segments.mul(1)],
        updates: kv.write(0, { keys: x, values: x }),
      };
    },
    { device, ...stepOptions(cache, 8) },
  );
  const [a, b] = [openSequence(cache, 'a'), openSequence(cache, 'b')];
  const run = async (of: readonly { readonly sequence: typeof a; readonly tokens: number }[], tokens: Int32Array) => {
    for (const { sequence, tokens: count } of of) expect(sequence.reserve(count)).toBe(true);
    const batch = cache.batch(of);
    expect(() => stepFeeds(batch, tokens.slice(1))).toThrow(
      `stepFeeds: the batch has ${tokens.length} rows, got ${tokens.length - 1} tokens`,
    );
    const { rows } = await step.run(...stepFeeds(batch, tokens));
    batch.advance();
    return Promise.all(rows.map(async (row) => [...(await row.data())]));
  };
  expect(await run([{ sequence: a, tokens: 2 }], Int32Array.of(7, 8))).toEqual([
    [7, 8],
    [0, 1],
    [0, 0],
  ]);
  const both = [
    { sequence: a, tokens: 1 },
    { sequence: b, tokens: 2 },
  ];
  expect(await run(both, Int32Array.of(9, 5, 6))).toEqual([
    [9, 5, 6],
    [2, 0, 1],
    [0, 1, 1],
  ]);
  const [layer] = await a.range(0, 3);
  expect([...layer!['keys']!].filter((_, i) => i % 4 === 0)).toEqual([7, 8, 9]);
  expect(() => stepOptions({} as never, 8)).toThrow('stepOptions: cache.shape must be an object, got undefined');
  expect(() => stepFeeds(undefined as never, Int32Array.of(1))).toThrow('stepFeeds: batch must be an object');
});
