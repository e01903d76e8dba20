import { expect } from 'vitest';
import recorded from '../../../../test-support/golden/prose4m.json' with { type: 'json' };
import { prose4m } from '../../../../test-support/model-files.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { loadModel, openEngine } from '../index.ts';

// scripts/golden-tokens.ts made them with the reference executor, without a cache
conformance('the model of this repository', (device) => {
  test('writes the tokens that the reference executor computed, alone and in company', async () => {
    expect(recorded.smallestGap).toBeGreaterThan(1e-3); // otherwise rounding could choose
    const model = await loadModel(prose4m, { device: device() });
    const tokenizer = model.requireTokenizer();
    const cases = Object.entries(recorded.golden);
    const count = 24;
    const collect = async (stream: AsyncIterable<number>) => {
      const tokens: number[] = [];
      for await (const token of stream) tokens.push(token);
      return tokens;
    };

    const engine = openEngine(model, { maxSequences: cases.length, maxSequenceTokens: 64, maxBatchTokens: 8 });
    for (const [text, { prompt }] of cases) expect(tokenizer.encode(text), text).toEqual(prompt);
    const requests = cases.map(([, { prompt }]) => ({ tokens: prompt, maxTokens: count }));
    const [alone] = [await collect(engine.generate(requests[0]!))];
    const together = await Promise.all(requests.map((request) => collect(engine.generate(request))));
    await engine.dispose();
    await model.dispose();

    expect(alone).toEqual(cases[0]![1].tokens.slice(0, count));
    expect(together).toEqual(cases.map(([, { tokens }]) => tokens.slice(0, count)));
  }, 240_000);
});
