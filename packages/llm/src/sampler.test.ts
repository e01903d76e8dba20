import { describe, expect, test } from 'vitest';
import { filteredSampler, greedy, type Sampler, sampler } from './sampler.ts';

const at = (step: number, sequence = 0) => ({ step, sequence });
const none = Number.NEGATIVE_INFINITY;

test('greedy takes the first maximum', () => {
  expect(greedy().sample(Float32Array.of(1, 4, 3, 4), at(0))).toBe(1);
  expect(greedy().sample(Float32Array.of(none, -7), at(0))).toBe(1);
});

test('a temperature of 0 is greedy', () => {
  const cold = sampler({ temperature: 0, topK: 3, seed: 5 });
  expect([cold.name, cold.seed]).toEqual(['greedy', 5]);
  expect(cold.takesMostLikely).toBe(true);
  expect(cold.sample(Float32Array.of(1, 2, 3, 2.9), at(0))).toBe(2);
});

test('the name says what it does', () => {
  expect(sampler({ temperature: 0.8, topK: 40, topP: 0.9 }).name).toBe('draw, temperature 0.8, top-k 40, top-p 0.9');
  expect(sampler().name).toBe('draw');
});

describe('a draw depends on seed, sequence and step alone', () => {
  const logits = new Float32Array(1000);
  const draws = (drawing: Sampler, sequence = 0) =>
    Array.from({ length: 20 }, (_, step) => drawing.sample(logits, at(step, sequence)));

  test('repeats', () => {
    const drawing = sampler({ seed: 3 });
    const first = draws(drawing);
    expect(drawing.sample(logits, at(7))).toBe(first[7]);
    expect(draws(sampler({ seed: 3 }))).toEqual(first);
  });

  test('differs by seed, in its upper bits too, and by sequence', () => {
    const base = draws(sampler({ seed: 3 }));
    for (const seed of [4, 3 + 2 ** 32, 2 ** 53 - 1]) expect(draws(sampler({ seed }))).not.toEqual(base);
    expect(draws(sampler({ seed: 3 }), 1)).not.toEqual(base);
  });

  test('without a seed there is a new one each time, which repeats the draws', () => {
    const one = sampler();
    expect(one.seed).not.toBe(sampler().seed);
    expect(draws(sampler({ seed: one.seed }))).toEqual(draws(one));
  });
});

/** Chi-square statistic of draws against probabilities; tokens of probability 0 must not be drawn. */
function chiSquare(drawing: Sampler, logits: Float32Array, probabilities: readonly number[], count: number): number {
  const drawn = new Array<number>(logits.length).fill(0);
  for (let step = 0; step < count; step++) drawn[drawing.sample(logits, at(step % 1000, Math.floor(step / 1000)))]!++;
  return probabilities.reduce((sum, probability, id) => {
    const expected = probability * count;
    if (expected === 0) {
      expect(drawn[id], `token ${id}`).toBe(0);
      return sum;
    }
    return sum + (drawn[id]! - expected) ** 2 / expected;
  }, 0);
}

describe('draws are distributed as they should be (99.9 % quantiles of chi-square)', () => {
  const probabilities = [0.05, 0.4, 0.25, 0.1, 0.2];
  const logits = Float32Array.from(probabilities, Math.log);
  const normalized = (weights: number[]) => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  const count = 20_000;

  test('plain', () => {
    expect(chiSquare(sampler({ seed: 1 }), logits, probabilities, count)).toBeLessThan(18.47);
  });

  test('temperature 0.5 squares the probabilities', () => {
    const squared = normalized(probabilities.map((p) => p ** 2));
    expect(chiSquare(sampler({ temperature: 0.5, seed: 2 }), logits, squared, count)).toBeLessThan(18.47);
    // The statistic tells the two distributions apart.
    expect(chiSquare(sampler({ temperature: 0.5, seed: 2 }), logits, probabilities, count)).toBeGreaterThan(500);
  });

  test('top-k 3', () => {
    const three = normalized([0, 0.4, 0.25, 0, 0.2]);
    expect(chiSquare(sampler({ topK: 3, seed: 3 }), logits, three, count)).toBeLessThan(13.82);
  });

  test('top-p 0.6 after temperature 2', () => {
    // Square roots: 0.224 0.632 0.5 0.316 0.447 of 2.119; the two likeliest are 0.534 of it, the three 0.745.
    const roots = normalized([0, Math.sqrt(0.4), Math.sqrt(0.25), 0, Math.sqrt(0.2)]);
    const drawing = sampler({ temperature: 2, topP: 0.6, seed: 4 });
    expect(chiSquare(drawing, logits, roots, count)).toBeLessThan(13.82);
  });

  test('a filter of one’s own, composed with those here', () => {
    const ban = { name: 'ban 1', apply: (values: Float32Array) => values.fill(none, 1, 2) };
    const without = normalized([0.05, 0, 0.25, 0.1, 0.2]);
    expect(chiSquare(filteredSampler([ban], 5), logits, without, count)).toBeLessThan(16.27);
  });
});

test('an option that changes nothing is left out', () => {
  const nothing = { temperature: 1, topK: 0, topP: 1, minP: 0, typicalP: 1, epsilonCutoff: 0, etaCutoff: 0 };
  const penalties = {
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    noRepeatNgramSize: 0,
    badWords: [],
  };
  const plain = sampler({ ...nothing, ...penalties, seed: 4 });
  expect(plain.name).toBe('draw');
  expect(plain.settings).toEqual({ parameters: {}, bias: new Map(), words: [], allowed: undefined, seed: 4 });
});

test('logits are left as they are, and tokens at -Infinity are never drawn', () => {
  const logits = Float32Array.of(none, 1, none, 2, none);
  const drawing = sampler({ temperature: 1.7, topK: 4, topP: 0.99, seed: 6 });
  for (let step = 0; step < 200; step++) expect([1, 3]).toContain(drawing.sample(logits, at(step)));
  expect([...logits]).toEqual([none, 1, none, 2, none]);
});

test('bad logits and parameters are errors', () => {
  const ban = { name: 'ban all', apply: (values: Float32Array) => values.fill(none) };
  const cases: [() => unknown, string][] = [
    [() => greedy().sample(Float32Array.of(0, Number.NaN), at(0)), 'got NaN for token 1 of 2'],
    [() => sampler({ seed: 1 }).sample(Float32Array.of(Number.NaN, 0), at(0)), 'got NaN for token 0 of 2'],
    [() => greedy().sample(Float32Array.of(1, Number.POSITIVE_INFINITY), at(0)), 'got +Infinity for token 1'],
    [() => greedy().sample(Float32Array.of(none, none), at(0)), 'must be finite, got none'],
    [() => greedy().sample(new Float32Array(0), at(0)), 'largest of 0 logits'],
    [() => filteredSampler([ban], 1).sample(Float32Array.of(1), at(0)), 'must be finite, got none'],
    [() => sampler({ temperature: -1 }), 'temperature must be a number from 0, got'],
    [() => sampler({ temperature: 0, topK: -1 }), 'topK must be a positive integer, got -1'],
    [() => sampler({ typicalP: 0 }), 'typicalP must be above 0, at most 1, got 0'],
    [() => sampler({ epsilonCutoff: 1 }), 'epsilonCutoff must be from 0 to below 1, got 1'],
    [() => sampler({ etaCutoff: -1 }), 'etaCutoff must be from 0 to below 1, got -1'],
    [
      () => sampler({ logitBias: { 3: Number.NaN } }),
      'the bias of a token must be a number or -Infinity, got NaN for token 3',
    ],
    [() => sampler({ logitBias: { x: 1 } as never }), 'logitBias takes token ids, got NaN'],
    [() => sampler({ badWords: [[]] }), 'lists of token ids, each of one at least'],
    [
      () => sampler({ badWords: [new Array(9).fill(1)] }),
      '64 of at most 8 tokens, beside single tokens, got 1 of at most 9',
    ],
    [() => sampler({ badWords: [[1, -2]] }), 'badWords takes token ids, got -2'],
    [() => sampler({ logitBias: [1] as never }), 'a Map or an object of biases by token id, got a list'],
    [() => sampler({ badWords: ['the'] as never }), 'each of one at least, got string the'],
    [() => sampler({ allowedTokens: [1] as never }), 'bit i % 32 of word i / 32), got a list'],
    [() => sampler({ parameters: { topK: 3 } }), 'topK is an option of its own'],
    [() => sampler({ parameters: { mine: Number.NaN } }), 'parameter mine must be a number, got NaN'],
    [
      () => sampler({ parameters: { mine: 1 } }).sample(Float32Array.of(1), at(0)),
      "mine are parameters of stages of one's own",
    ],
    [() => sampler({ topP: 2 }), 'topP must be from 0 to 1, got 2'],
    [() => sampler({ seed: -1 }), 'seed must be an integer from 0 to 2^53 - 1, got -1'],
    [() => sampler({ seed: 0.5 }), 'got 0.5'],
    [() => sampler({ seed: 2 ** 53 }), 'got 9007199254740992'],
  ];
  for (const [run, message] of cases) {
    expect(run).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(run).toThrow(message);
  }
});
