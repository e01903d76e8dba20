import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, openEngine, type Sampler, type Speculation, sampler } from '../index.ts';

/** Logits of 8 tokens that do not depend on what came before: every token has the same embedding, and blocks add nothing to it. */
const sameEverywhere = () =>
  tinyLlama(
    (name, data) => {
      if (name === 'model.embed_tokens.weight') data.set(Float32Array.from(data, (_, i) => 0.5 + (i % 8) / 8));
      if (/o_proj|down_proj/.test(name)) data.fill(0);
    },
    { vocab_size: 8 },
  );

/** Guesses always the same tokens: where one counted for more than the draw makes it, there would be too many of it. */
const always = (tokens: readonly number[]): Speculation => ({
  name: 'always the same',
  maxDrafts: tokens.length,
  instant: true,
  cost: () => -1, // which always pays
  open: () => ({
    draft: (wishes) => wishes.map(({ count }) => tokens.slice(0, count)),
    end: () => {},
    [Symbol.dispose]: () => {},
  }),
});

test('draws among guesses are distributed as they are without, chosen on the device and on the host (99.9 % quantile of chi-square)', async () => {
  await using device = await openReference();
  const model = await loadModel(sameEverywhere(), { device });
  const logits = await model.logits([[1, 2, 3]]);
  const row = [...(await logits.data())].slice(-8);
  logits.dispose();
  const weights = row.map((logit) => Math.exp(logit / 3));
  const total = weights.reduce((a, b) => a + b);
  const probabilities = weights.map((weight) => weight / total);
  const order = probabilities.map((_, token) => token).sort((a, b) => probabilities[b]! - probabilities[a]!);
  expect(probabilities[order[7]!]).toBeGreaterThan(0.01);
  // the most likely token, then the least, which is nearly always wrong, then the second
  const speculation = always([order[0]!, order[0]!, order[7]!, order[1]!]);
  const engine = openEngine(model, { maxSequences: 24, maxSequenceTokens: 24, stepsInFlight: 2, speculation });
  const plain = openEngine(model, { maxSequences: 24, maxSequenceTokens: 24 });
  const drawing = sampler({ temperature: 3, seed: 11 });
  const onHost: Sampler = { name: 'host', sample: (logits, at) => drawing.sample(logits, at) };
  for (const [way, chosen, sequences] of [
    ['device', drawing, 48],
    ['host', onHost, 24],
  ] as const) {
    const counts = new Array<number>(8).fill(0);
    const texts = await Promise.all(
      Array.from({ length: sequences }, async (_, sequence) => {
        const tokens: number[] = [];
        const request = { tokens: [1 + (sequence % 7)], maxTokens: 20, sampler: chosen, sequence };
        for await (const token of engine.generate(request)) tokens.push(token);
        return tokens;
      }),
    );
    for (const token of texts.flat()) counts[token]!++;
    const drawn = sequences * 20;
    const off = probabilities.reduce((sum, p, token) => sum + (counts[token]! - p * drawn) ** 2 / (p * drawn), 0);
    expect(off, `${way}: ${counts} of ${probabilities.map((p) => (p * drawn).toFixed(0))}`).toBeLessThan(24.32);
    // and they are the very draws that come without guesses, alone
    for (const sequence of [0, 11, 23]) {
      const tokens: number[] = [];
      const request = { tokens: [1 + (sequence % 7)], maxTokens: 20, sampler: chosen, sequence };
      for await (const token of plain.generate(request)) tokens.push(token);
      expect(texts[sequence], way).toEqual(tokens);
    }
  }
  const { acceptedTokens, draftedTokens } = engine.stats();
  expect(acceptedTokens).toBeGreaterThan(150);
  expect(draftedTokens - acceptedTokens).toBeGreaterThan(500);
  await engine.dispose();
  await plain.dispose();
  await model.dispose();
}, 60_000);
