import { continuousScheduler, optimistic } from '@heddle/batcher';
import { pagedCache } from '@heddle/kvcache';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needShared, sharedMissing } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { type CausalLm, type Engine, type GenerationRequest, loadModel, openEngine } from '../index.ts';

/** A checkpoint for each kind of layer: whole attention, windows, three recurrences, experts, latent, sinks, rows by length. */
const fixtures = [
  ...['gemma3', 'qwen3_5', 'granite4', 'lfm2', 'mixtral', 'deepseek-v3', 'gpt-oss', 'phi3-longrope'],
] as const;

/** How an engine is opened so that requests are computed in a certain way. `room` is of the cache, in tokens of the longest sequence. */
interface Way {
  readonly stepsInFlight: number;
  readonly maxSequences: number;
  readonly maxBatchTokens: number;
  readonly room: number;
}

/** From one engine to the next all differs: company, chunks, depth, and whether all have room. */
const ways: Readonly<Record<'alone' | 'together' | 'crowded' | 'in chunks', Way>> = {
  alone: { stepsInFlight: 1, maxSequences: 1, maxBatchTokens: 128, room: 2 },
  together: { stepsInFlight: 2, maxSequences: 8, maxBatchTokens: 128, room: 8 },
  // of three that run two have room
  crowded: { stepsInFlight: 3, maxSequences: 3, maxBatchTokens: 16, room: 2 },
  'in chunks': { stepsInFlight: 1, maxSequences: 4, maxBatchTokens: 5, room: 4 },
};

const newTokens = 7;

function open(model: CausalLm, longest: number, { room, ...limits }: Way): Engine {
  return openEngine(model, {
    ...{ ...limits, maxSequenceTokens: longest },
    cache: (on, size) =>
      pagedCache(on, { ...size, blockSize: 4, tokens: 4 * Math.ceil((room * longest) / 4), checkpointEvery: 8 }),
    scheduler: (capacity, bounds) =>
      continuousScheduler({ ...bounds, capacity, admission: optimistic({ headroomTokens: 0 }) }),
  });
}

async function collect(engine: Engine, request: GenerationRequest, hear = (_: { readonly type: string }) => {}) {
  const tokens: number[] = [];
  for await (const token of engine.generate(request, { onEvent: hear })) tokens.push(token);
  return tokens;
}

conformance('greedy tokens of layers', (device) => {
  test.for(fixtures)(
    '%s: those of transformers alone, together, crowded, in chunks, forked, after a prefix, at every depth',
    { timeout: 120_000 },
    async (name, context) => {
      leaveToNode(context);
      const few: readonly string[] | undefined = { onnx: ['granite4'], 'webgpu-node': ['deepseek-v3'] }[backendName];
      if (few && !few.includes(name)) context.skip(`here ${few.join(', ')} are enough`);
      const path = `fixtures/models/${name}`;
      const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
      const expected = await openSafetensors(await needShared(context, `${path}/expected.safetensors`));
      const integers = async (tensor: string) => [...new Int32Array((await expected.read(tensor)).buffer)];
      const prompt = await integers('greedy_prompt');
      const right = (await integers('greedy_tokens')).slice(0, newTokens);
      const model = await loadModel(files, { device: device() });
      const longest = prompt.length + newTokens;
      // one begins like the first, the others unlike
      const prompts = [prompt, [...prompt.slice(0, -2), ...prompt.slice(0, 1)], prompt.slice(3), [...prompt].reverse()];
      const asked = prompts.map((tokens) => ({ tokens, maxTokens: newTokens }));

      const alone = open(model, longest, ways.alone);
      const answers = [];
      for (const [i, request] of asked.entries()) answers.push(await collect(alone, { ...request, tenant: `${i}` }));
      expect(answers[0]).toEqual(right);
      await alone.dispose();

      // where a software GPU compiles for seconds, only what has all of it
      const onGpu = backendName.startsWith('webgpu');
      for (const way of onGpu ? (['crowded'] as const) : (['together', 'crowded', 'in chunks'] as const)) {
        const engine = open(model, longest, ways[way]);
        let preempted = 0;
        const hear = ({ type }: { readonly type: string }) => {
          if (type === 'preempted') preempted++;
        };
        expect(await Promise.all(asked.map((request) => collect(engine, request, hear))), way).toEqual(answers);
        // three of one prompt, of which two begin in the cache of the first, and what is left of that before
        const forks = await Promise.all(
          [{ id: 'parent' }, { parent: 'parent' }, { parent: 'parent' }].map((more) =>
            collect(engine, { ...asked[0]!, ...more }, hear),
          ),
        );
        expect(forks, `${way}, forked`).toEqual([right, right, right]);
        expect(preempted > 0, `${way}: ${preempted} preempted`).toBe(way === 'crowded');
        const { cache } = engine.stats();
        expect(cache).toMatchObject({ sequences: 0, blocksUsed: 0 });
        expect(cache.hitTokens, `${way}: tokens of prefixes`).toBeGreaterThan(0);
        await engine.dispose();
      }
      await model.dispose();
    },
  );
});
