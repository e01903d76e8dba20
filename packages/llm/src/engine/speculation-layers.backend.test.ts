import { seededRandom } from '@heddle/batcher/load';
import { pagedCache } from '@heddle/kvcache';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect } from 'vitest';
import { guesses } from '../../../../test-support/guesses.ts';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needShared, sharedMissing } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { loadModel, openEngine } from '../index.ts';

/** A checkpoint for each kind of layer that goes back in its own way. */
const fixtures = ['gemma3', 'qwen3_5', 'granite4', 'lfm2', 'deepseek-v3', 'phi3-longrope'] as const;

conformance('guessed tokens of layers', (device) => {
  test.for(fixtures)('%s: as transformers computes them without guesses', async (name, context) => {
    leaveToNode(context);
    if (backendName.startsWith('webgpu') && name !== 'qwen3_5') context.skip('one kind of layer is enough there');
    const path = `fixtures/models/${name}`;
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const expected = await openSafetensors(await needShared(context, `${path}/expected.safetensors`));
    const integers = async (tensor: string) => [...new Int32Array((await expected.read(tensor)).buffer)];
    const tokens = await integers('greedy_prompt');
    const right = (await integers('greedy_tokens')).slice(0, 32);
    const model = await loadModel(files, { device: device() });
    // with memory for the states of drafts, and without, when what is taken back is computed again
    for (const checkpoints of [8, 0]) {
      const engine = openEngine(model, {
        ...{ maxSequences: 2, maxSequenceTokens: tokens.length + 32 },
        speculation: guesses(() => right, seededRandom(5), {
          maxDrafts: 6,
          vocabularySize: model.config.vocabularySize,
        }),
        cache: (on, size) => pagedCache(on, { ...size, blockSize: 4, checkpoints }),
      });
      const collect = async () => {
        const found: number[] = [];
        for await (const token of engine.generate({ tokens, maxTokens: right.length })) found.push(token);
        return found;
      };
      expect(await Promise.all([collect(), collect()])).toEqual([right, right]);
      const { draftedTokens, acceptedTokens } = engine.stats();
      expect(acceptedTokens).toBeGreaterThan(15);
      expect(draftedTokens).toBeGreaterThan(acceptedTokens);
      await engine.dispose();
    }
    await model.dispose();
  });
});
