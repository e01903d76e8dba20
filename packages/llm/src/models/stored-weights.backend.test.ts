import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { sharedMissing } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { type LoadModelOptions, loadModel, openEngine } from '../index.ts';

const path = 'models/stories260K';
const prompt = [1, 403, 407, 261, 378, 432, 383, 286, 261, 376];

/** Bytes of the weights, logits of the prompt, and the tokens that follow it. */
async function outcome(
  device: Device,
  files: Parameters<typeof loadModel>[0],
  options: Omit<LoadModelOptions, 'device'>,
) {
  const model = await loadModel(files, { device, ...options });
  const logits = await model.logits([prompt]);
  const values = Float32Array.from(await logits.data());
  logits.dispose();
  const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 32 });
  const tokens: number[] = [];
  for await (const token of engine.generate({ tokens: prompt, maxTokens: 8 })) tokens.push(token);
  await engine.dispose();
  const bytes = model.parameters.reduce((sum, { storage }) => sum + storage!.byteLength, 0);
  const dtypes = new Set(model.parameters.map(({ dtype }) => dtype));
  await model.dispose();
  return { values, tokens, bytes, dtypes };
}

function worst(actual: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(actual[i]! - value)), 0) / largest;
}

conformance('weights in blocks', (device) => {
  /** How far logits are from those of f32, at most: what the blocks themselves cost. */
  const formats = [
    ['q8_0', 0.02],
    ['q4_0', 0.3],
  ] as const;
  for (const [dtype, cost] of formats)
    test(`${dtype}: quantised as they are read, with the logits that those blocks have`, async (context) => {
      leaveToNode(context);
      const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
      const full = await outcome(device(), files, {});
      const own = await outcome(device(), files, { dtype });
      expect(own.dtypes).toEqual(new Set(['f32', dtype, 'f16'])); // rows of 172 are no whole blocks
      if (backendName !== 'reference') expect(own.bytes).toBeLessThan(0.45 * full.bytes);
      expect(worst(own.values, full.values)).toBeLessThan(cost);
      expect(worst(own.values, full.values)).toBeGreaterThan(0);
      if (dtype === 'q8_0') expect(own.tokens).toEqual(full.tokens);
      const reference = await openReference();
      const expected = await outcome(reference, files, { dtype });
      await reference.dispose();
      expect(worst(own.values, expected.values)).toBeLessThan(backendName === 'onnx' ? 1e-2 : 1e-4);
      if (backendName !== 'onnx') expect(own.tokens).toEqual(expected.tokens);
    }, 120_000);

  test('are not trained', async (context) => {
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    await expect(loadModel(files, { device: device(), dtype: 'q8_0', trainable: true })).rejects.toThrow(
      /weights that are trained are f32 or f16, got q8_0/,
    );
  });
});
