import { naive } from '@heddle/attention';
import { seededRandom } from '@heddle/batcher/load';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { summedLogits, summingModel } from '../../../../test-support/summing-model.ts';
import { greedy, openEngine } from '../index.ts';

/** The tokens of a request, by the model written out. */
function expected(prompt: readonly number[], maxTokens: number, sequence: number): number[] {
  const by = greedy();
  const stream = [...prompt];
  for (let step = 0; step < maxTokens; step++)
    stream.push(by.sample(Float32Array.from(summedLogits(stream)), { step, sequence, tokens: stream }));
  return stream.slice(prompt.length);
}

test('tokens of up to 64 sequences that are computed together are those of each alone, at every depth', async () => {
  await using device = await openReference();
  const model = summingModel(device, 20);
  for (const [batch, stepsInFlight] of [
    [2, 3],
    [17, 1],
    [64, 2],
  ] as const) {
    const engine = openEngine(model, {
      ...{ maxSequences: batch, maxSequenceTokens: 20, maxBatchTokens: 2 * batch, stepsInFlight, attention: naive() },
    });
    const random = seededRandom(batch);
    const upTo = (count: number) => Math.floor(random() * count);
    const asked = Array.from({ length: batch }, (_, sequence) => {
      const tokens = Array.from({ length: 1 + upTo(10) }, () => upTo(16));
      return { tokens, maxTokens: 6 + upTo(4), sampler: greedy(), sequence };
    });
    const found = await Promise.all(
      asked.map(async (request) => {
        const tokens: number[] = [];
        for await (const token of engine.generate(request)) tokens.push(token);
        return tokens;
      }),
    );
    const right = asked.map((each) => expected(each.tokens, each.maxTokens, each.sequence));
    expect(found, `${batch} sequences`).toEqual(right);
    // together: in far fewer steps than there are tokens
    const { steps, generatedTokens } = engine.stats();
    expect(generatedTokens).toBe(right.flat().length);
    expect(steps).toBeLessThan(40);
    await engine.dispose();
  }
  await model.dispose();
});
