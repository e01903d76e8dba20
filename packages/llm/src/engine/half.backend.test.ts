import { expect } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needSharedJson, sharedMissing } from '../../../../test-support/shared.ts';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { loadModel, openEngine } from '../index.ts';

const path = 'models/stories260K';
/** A gap between the two best logits that rounding weights, keys and values to f16 does not close. */
const safeGap = 0.05;

conformance('a model in f16', (device) => {
  test('chooses the tokens of f32 as long as the choice is clear', async (context) => {
    leaveToNode(context);
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const golden = (await needSharedJson(context, `${path}/golden-greedy.json`)) as Record<
      string,
      { prompt: number[]; tokens: number[] }
    >;
    const full = await loadModel(files, { device: device() });
    const half = await loadModel(files, { device: device(), dtype: 'f16' });
    const weightBytes = half.parameters.reduce((sum, { storage }) => sum + storage!.byteLength, 0);
    const fullBytes = full.parameters.reduce((sum, { storage }) => sum + storage!.byteLength, 0);
    if (device().name !== 'reference') expect(weightBytes / fullBytes).toBeLessThan(0.51);
    const engine = openEngine(half, { maxSequences: 1, maxSequenceTokens: 64 });
    for (const { prompt, tokens } of Object.values(golden)) {
      const expected = tokens.slice(0, 50);
      const logits = await full.logits([[...prompt, ...expected]]);
      const values = (await logits.data()) as Float32Array;
      logits.dispose();
      const V = full.config.vocabularySize;
      const gapBefore = (index: number) => {
        const at = (prompt.length + index - 1) * V;
        const [best, second] = [...values.subarray(at, at + V)].sort((a, b) => b - a);
        return best! - second!;
      };
      let index = 0;
      for await (const token of engine.generate({ tokens: prompt, maxTokens: expected.length })) {
        if (gapBefore(index) <= safeGap) break;
        expect(token).toBe(expected[index++]);
      }
      expect(index).toBeGreaterThan(20);
    }
    await engine.dispose();
    await half.dispose();
    await full.dispose();
  }, 120_000);
});
