import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { allowedTokens } from './biases.ts';
import { type LogitFilter, softmaxWeights, temperature, topK, topP } from './filters.ts';

/** Ids that a filter leaves in. */
function kept(filter: LogitFilter, logits: readonly number[]): number[] {
  const values = Float32Array.from(logits);
  filter.apply(values);
  return [...values.keys()].filter((id) => values[id] !== Number.NEGATIVE_INFINITY);
}

const logitLists = fc
  .array(fc.oneof(fc.float({ min: -20, max: 20, noNaN: true }), fc.constantFrom(0, 1, -0, Number.NEGATIVE_INFINITY)), {
    minLength: 1,
    maxLength: 40,
  })
  .filter((logits) => logits.some((logit) => Number.isFinite(logit)));

test('allowed tokens are those whose bit is set, and none beyond the end of the mask', () => {
  const logits = Array.from({ length: 70 }, () => 1);
  expect(kept(allowedTokens(Uint32Array.of(0b101, 2 ** 31)), logits)).toEqual([0, 2, 63]);
  expect(kept(allowedTokens(Uint32Array.of(2 ** 31 + 1)), logits)).toEqual([0, 31]);
});

describe('temperature', () => {
  test('divides the differences', () => {
    const logits = Float32Array.of(1, 3, 2, Number.NEGATIVE_INFINITY);
    temperature(0.5).apply(logits);
    expect([...logits]).toEqual([-4, 0, -2, Number.NEGATIVE_INFINITY]);
  });

  test('a tiny one leaves only the maxima, a huge one all the same', () => {
    const logits = [1, 3, 3, 2.9999];
    const cold = Float32Array.from(logits);
    temperature(1e-300).apply(cold);
    expect([...softmaxWeights(cold).weights]).toEqual([0, 1, 1, 0]);
    const hot = Float32Array.from(logits);
    temperature(1e300).apply(hot);
    expect([...softmaxWeights(hot).weights]).toEqual([1, 1, 1, 1]);
  });
});

describe('top-k', () => {
  test('keeps k, and what is as likely as the last of them', () => {
    expect(kept(topK(2), [1, 5, 3, 5, 2])).toEqual([1, 3]);
    expect(kept(topK(2), [5, 1, 5, 5])).toEqual([0, 2, 3]);
    expect(kept(topK(9), [1, 2])).toEqual([0, 1]);
  });

  test('the same as sorting', () => {
    fc.assert(
      fc.property(logitLists, fc.integer({ min: 1, max: 45 }), (logits, k) => {
        const values = Float32Array.from(logits);
        const least = values.slice().sort().at(-Math.min(k, values.length))!;
        const expected = [...values.keys()].filter((id) => values[id]! >= least && Number.isFinite(values[id]));
        expect(kept(topK(k), logits)).toEqual(expected);
      }),
      runs(100),
    );
  });
});

describe('top-p', () => {
  const quarters = [0.1, 0.4, 0.3, 0.2].map(Math.log);

  test('keeps the fewest that reach p', () => {
    expect(kept(topP(0), quarters)).toEqual([1]);
    expect(kept(topP(0.39), quarters)).toEqual([1]);
    expect(kept(topP(0.41), quarters)).toEqual([1, 2]);
    expect(kept(topP(0.69), quarters)).toEqual([1, 2]);
    expect(kept(topP(0.8), quarters)).toEqual([1, 2, 3]);
    expect(kept(topP(0.95), quarters)).toEqual([0, 1, 2, 3]);
    expect(kept(topP(1), quarters)).toEqual([0, 1, 2, 3]);
    expect(kept(topP(0.5), [2, 2, 2, 2])).toEqual([0, 1, 2, 3]); // equals together
  });

  test('what is kept reaches p, and would not without its least likely tokens', () => {
    fc.assert(
      fc.property(logitLists, fc.double({ min: 0, max: 0.999, noNaN: true }), (logits, p) => {
        const { weights, total } = softmaxWeights(Float32Array.from(logits));
        const ids = kept(topP(p), logits);
        const mass = ids.reduce((sum, id) => sum + weights[id]!, 0);
        const least = Math.min(...ids.map((id) => weights[id]!));
        const leasts = ids.reduce((sum, id) => sum + (weights[id] === least ? least : 0), 0);
        const most = Math.max(0, ...[...weights.keys()].filter((id) => !ids.includes(id)).map((id) => weights[id]!));
        expect(ids.length).toBeGreaterThan(0);
        expect(mass / total).toBeGreaterThanOrEqual(p - 1e-12);
        if (mass > leasts) expect((mass - leasts) / total).toBeLessThan(p + 1e-12);
        expect(most).toBeLessThan(least);
      }),
      runs(100),
    );
  });
});

test('parameters out of range', () => {
  const cases: [() => LogitFilter, string][] = [
    [() => temperature(0), 'temperature must be a positive number, got 0'],
    [() => temperature(Number.NaN), 'got NaN'],
    [() => temperature(Number.POSITIVE_INFINITY), 'got Infinity'],
    [() => topK(0), 'topK must be a positive integer, got 0'],
    [() => topK(1.5), 'got 1.5'],
    [() => topP(-0.1), 'topP must be from 0 to 1, got -0.1'],
    [() => topP(1.1), 'got 1.1'],
  ];
  for (const [make, message] of cases) {
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(make).toThrow(message);
  }
});
