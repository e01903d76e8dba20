import { flash } from '@heddle/attention';
import { contiguousCache, openSequence } from '@heddle/kvcache';
import type { Device } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needShared, sharedMissing } from '../../../../test-support/shared.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { ModelStep } from '../engine/model-step.ts';
import { type LoadedModel, loadModel, openEngine } from '../index.ts';

const names = ['llama-mha', 'llama-mqa', 'llama3-rope-scaled'] as const;
type Rewrite = (config: Record<string, unknown>) => object;

async function load(
  device: Device,
  context: Pick<TestContext, 'skip'>,
  name: string,
  rewrite?: Rewrite,
): Promise<LoadedModel> {
  const path = `fixtures/models/${name}`;
  const files = await sharedModel(path, rewrite);
  return files ? loadModel(files, { device }) : context.skip(sharedMissing(path));
}

async function expected(context: Pick<TestContext, 'skip'>, name: string) {
  const file = await openSafetensors(await needShared(context, `fixtures/models/${name}/expected.safetensors`));
  const bytes = async (tensor: string) => (await file.read(tensor)).buffer;
  const rows = async (tensor: string) => {
    const [count, length] = file.info(tensor).shape as [number, number];
    const values = new Int32Array(await bytes(tensor));
    return Array.from({ length: count }, (_, i) => [...values.subarray(i * length, (i + 1) * length)]);
  };
  return {
    ids: await rows('input_ids'),
    mask: await rows('attention_mask'),
    logits: new Float32Array(await bytes('logits')),
    padded: new Float32Array(await bytes('logits_left_padded')),
    greedyPrompt: [...new Int32Array(await bytes('greedy_prompt'))],
    greedyTokens: [...new Int32Array(await bytes('greedy_tokens'))],
  };
}

/** The largest difference, over the rows of V values for which `counts` holds. */
function largestDifference(a: Float32Array, b: Float32Array, counts: (row: number) => boolean, V: number): number {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++) if (counts(Math.floor(i / V))) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

/** As configurations were written before rope_parameters. */
const older: Rewrite = ({ rope_parameters, ...config }) => {
  const { rope_theta, rope_type, ...scaling } = rope_parameters as Record<string, unknown>;
  return {
    ...config,
    rope_theta,
    rope_scaling: rope_type === 'default' ? null : { type: rope_type, rope_type, ...scaling },
  };
};

conformance('Llama against transformers', (device) => {
  test.for(names)(
    '%s: logits, plain and left-padded, in both generations of its configuration',
    async (name, context) => {
      for (const rewrite of [undefined, older]) {
        const { ids, mask, logits, padded } = await expected(context, name);
        const model = await load(device(), context, name, rewrite);
        const V = model.config.vocabularySize;
        const plain = await model.logits(ids);
        expect(plain.shape).toEqual([ids.length, ids[0]!.length, V]);
        expect(largestDifference((await plain.data()) as Float32Array, logits, () => true, V)).toBeLessThan(1e-4);
        const masked = await model.logits(ids, { attentionMask: mask });
        const kept = mask.flat();
        expect(
          largestDifference((await masked.data()) as Float32Array, padded, (row) => kept[row] === 1, V),
        ).toBeLessThan(1e-4);
        plain.dispose();
        masked.dispose();
        await model.dispose();
      }
    },
  );

  test.for(names)('%s: greedy tokens', async (name, context) => {
    const { greedyPrompt, greedyTokens } = await expected(context, name);
    const model = await load(device(), context, name);
    const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 64 });
    const tokens: number[] = [];
    for await (const token of engine.generate({ tokens: greedyPrompt, maxTokens: greedyTokens.length }))
      tokens.push(token);
    expect(tokens).toEqual(greedyTokens);
    await engine.dispose();
    await model.dispose();
  });

  test.for(names)('%s: each cached step gives the logits of full recomputation', async (name, context) => {
    const { ids } = await expected(context, name);
    const [sequence] = ids;
    const model = await load(device(), context, name);
    const V = model.config.vocabularySize;
    const whole = await model.logits([sequence!]);
    const full = (await whole.data()) as Float32Array;
    const cache = contiguousCache(device(), { shape: model.kvShape, maxSequences: 1, maxSequenceTokens: 32 });
    const step = new ModelStep(model, flash(), cache, 16);
    const kv = openSequence(cache, 'cached');
    // a prompt in two chunks, then token by token
    for (const end of [7, 12, ...Array.from({ length: sequence!.length - 12 }, (_, i) => 13 + i)]) {
      const start = kv.length;
      kv.reserve(end - start);
      const batch = cache.batch([{ sequence: kv, tokens: end - start }]);
      const tokens = Int32Array.from(sequence!.slice(start, end));
      const { logits } = await step.run({ tokens, rows: Int32Array.of(end - start - 1) }, batch);
      batch.advance();
      const row = full.subarray((end - 1) * V, end * V);
      expect(largestDifference((await logits.data()) as Float32Array, row, () => true, V)).toBeLessThan(1e-5);
    }
    step.dispose();
    cache.dispose();
    whole.dispose();
    await model.dispose();
  });
});
