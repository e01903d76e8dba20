import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { sampler } from '../sampler.ts';
import { noRepeatNgram, occurrencePenalty } from './repetition.ts';

test('no n-gram occurs twice, but a token is always left', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 2, max: 5 }), (size, V) => {
      const filter = noRepeatNgram(size);
      const tokens: number[] = [];
      const seen = new Set<string>();
      for (let i = 0; i < 30; i++) {
        const logits = new Float32Array(V);
        filter.apply(logits, tokens);
        const kept = [...logits.keys()].filter((id) => logits[id] === 0);
        expect(kept.length).toBeGreaterThan(0);
        const exhausted = kept.length === V && i >= V;
        tokens.push(kept[i % kept.length]!);
        const gram = tokens.slice(-size).join();
        if (tokens.length >= size && !exhausted) expect(seen.has(gram)).toBe(false);
        if (tokens.length >= size) seen.add(gram);
        if (exhausted) return;
      }
    }),
    runs(50),
  );
});

test('the sampler applies penalties first, with the most likely token too', () => {
  const logits = Float32Array.of(2, 1.9, -1, 0);
  const context = { step: 0, sequence: 0, tokens: [0, 2] };
  const greedy = sampler({ temperature: 0, repetitionPenalty: 1.5 });
  expect(greedy.takesMostLikely).toBeUndefined();
  expect(greedy.sample(logits, context)).toBe(1);
  expect([...logits]).toEqual([...Float32Array.of(2, 1.9, -1, 0)]);
  expect(sampler({ temperature: 0, repetitionPenalty: 1 }).takesMostLikely).toBe(true);
  expect(sampler({ topK: 1, noRepeatNgramSize: 1 }).sample(logits, { ...context, tokens: [0, 1] })).toBe(3);
  expect(() => greedy.sample(logits, { step: 0, sequence: 0 })).toThrow(/repetition penalty 1.5 needs the tokens/);
});

test('presence counts once, frequency each time, and the prompt not at all', () => {
  const logits = Float32Array.of(1, 2, 3, 4);
  occurrencePenalty(0.5, 0.25).apply(logits, [0, 0, 3, 1, 1, 1], 4);
  expect([...logits]).toEqual([1, 2 - 0.5 - 0.75, 3, 4 - 0.5 - 0.25]);
});

test('settings out of range are refused by name', () => {
  for (const [options, message] of [
    [{ repetitionPenalty: 0 }, /repetitionPenalty must be a positive number, got 0/],
    [{ noRepeatNgramSize: 1.5 }, /noRepeatNgramSize\) must be a positive integer, got 1.5/],
    [{ presencePenalty: Number.NaN }, /presencePenalty must be a number, got NaN/],
    [{ noRepeatNgramSize: 17 }, /noRepeatNgramSize must be at most 16, got 17/],
    [{ minP: 2 }, /minP must be from 0 to 1, got 2/],
    [{ top_p: 0.9 }, /^sampler: has no option top_p; its options are logitBias, repetitionPenalty/],
    [null, /^sampler: takes options .* got null/],
  ] as const)
    expect(() => sampler(options as object)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringMatching(message) }),
    );
});

test('an n-gram that begins with another token is none that has occurred', () => {
  const apply = (tokens: readonly number[]) => {
    const logits = new Float32Array(5);
    noRepeatNgram(3).apply(logits, tokens);
    return [...logits.keys()].filter((id) => logits[id] === Number.NEGATIVE_INFINITY);
  };
  expect(apply([1, 2, 3, 4, 2])).toEqual([]);
  expect(apply([1, 2, 3, 1, 2])).toEqual([3]);
});
