import { CacheFormatError, pagedCache } from '@heddle/kvcache';
import { expect } from 'vitest';
import { prose4m } from '../../../../test-support/model-files.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, measureCacheFormat } from '../index.ts';

/** Written for this test: no model has seen it. */
const heldOut =
  'The ferry left the quay a little after six, when the fog still lay upon the water, and for a while nothing could be ' +
  'seen but the lamp of the harbour wall. Two women sat near the rail with a basket between them; they spoke of the price ' +
  'of wool, and of a brother who had gone to sea and had not written since the spring.';

conformance('formats of the cache', (device) => {
  test('8 bits change what the model of this repository says by at most 0.002 nats a token', async (context) => {
    leaveToNode(context);
    if (backendName === 'reference') context.skip('plain TypeScript takes minutes for the model');
    const model = await loadModel(prose4m, { device: device() });
    const tokens = model.tokenizer!.encode(heldOut);
    const measured = await measureCacheFormat(model, { bits: 8 }, { texts: [tokens], stepTokens: 4 });
    expect(measured.tokens).toBe(tokens.length - 1);
    expect(measured.meanKl).toBeGreaterThan(0);
    expect(measured.meanKl).toBeLessThan(0.002);
    await model.dispose();
  }, 240_000);

  test('4 bits are refused where they change too much, and taken where they do not', async (context) => {
    leaveToNode(context);
    const model = await loadModel(
      tinyLlama(() => {}, { head_dim: 8 }),
      { device: device() },
    );
    const texts = [Array.from({ length: 12 }, (_, i) => (5 * i) % 16), [1, 2, 3, 4]];
    const options = { texts, stepTokens: 2 };
    const [eight, four] = [
      await measureCacheFormat(model, { bits: 8 }, options),
      await measureCacheFormat(model, { bits: 4 }, { ...options, limit: 1 }),
    ];
    expect(four.tokens).toBe(11 + 3);
    expect(eight.meanKl).toBeLessThan(four.meanKl);
    expect(four.maxKl).toBeGreaterThanOrEqual(four.meanKl);
    const open = (limit: number) =>
      pagedCache(device(), {
        shape: model.kvShape,
        maxSequences: 1,
        maxSequenceTokens: 16,
        format: { bits: 4, measured: { ...four, limit } },
      });
    open(1).dispose();
    expect(() => open(four.meanKl / 2)).toThrow(CacheFormatError);
    await expect(measureCacheFormat(model, { bits: 8 }, { texts: [[1]] })).rejects.toThrow(/at least two tokens/);
    await expect(measureCacheFormat(model, { bits: 8 }, { texts: [[1, 99]] })).rejects.toThrow(/99/);
    await expect(measureCacheFormat(model, { bits: 8, groups: 3 }, options)).rejects.toThrow(/groups/);
    await model.dispose();
  }, 120_000);
});
