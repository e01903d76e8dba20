import { isHeddleError } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { greedy, loadModel, openEngine, type Sampler, sampler } from '../index.ts';

/** The token whose row of the embedding is set to `value`: whoever has it in the prompt has logits that are no numbers. */
const poison = 15;
const poisoned = (value: number) =>
  tinyLlama((name, data) => {
    if (name === 'model.embed_tokens.weight') data.fill(value, poison * 8, (poison + 1) * 8);
  });
/** A head of which one row is `value`: nobody has usable logits. */
const badHead = (value: number) =>
  tinyLlama((name, data) => {
    if (name === 'lm_head.weight') data.fill(value, 5 * 8, 6 * 8);
  });

const samplers: Record<string, () => Sampler> = {
  greedy,
  drawing: () => sampler({ temperature: 1, topK: 4, seed: 2 }),
  'of its own': () => ({ name: 'first', sample: () => 0 }),
};

conformance('requests whose logits are no numbers', (device) => {
  test.for(Object.keys(samplers))('%s: end with a typed error, alone', async (name) => {
    for (const files of [poisoned(Number.NaN), badHead(Number.NaN), badHead(Number.POSITIVE_INFINITY)]) {
      const model = await loadModel(files, { device: device() });
      const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 24 });
      const stream = engine.generate({ tokens: [1, poison, 3], maxTokens: 8, sampler: samplers[name]!() });
      const error: unknown = await stream.next().catch((thrown: unknown) => thrown);
      expect(isHeddleError(error, 'ERR_LOGITS')).toBe(true);
      expect(String(error)).toMatch(/request 0: .* must be finite, got .*(NaN|Infinity|none).* damaged weights/);
      expect(await stream.ended).toMatchObject({ reason: 'error', newTokens: 0 });
      await engine.dispose();
      await model.dispose();
    }
  });

  test('the error names the range of f16 where the model computes in it', async () => {
    const overflow = tinyLlama((name, data) => {
      if (/(gate|up)_proj/.test(name)) for (let i = 0; i < data.length; i++) data[i]! *= 30_000;
    });
    const model = await loadModel(overflow, { device: device(), dtype: 'f16' });
    const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 24 });
    for (const own of Object.values(samplers)) {
      const stream = engine.generate({ tokens: [1, 2, 3], maxTokens: 8, sampler: own() });
      await expect(stream.next()).rejects.toMatchObject({
        code: 'ERR_LOGITS',
        message: expect.stringMatching(/range of 65,504/),
      });
    }
    await engine.dispose();
    await model.dispose();
  });
});
