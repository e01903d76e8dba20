import { continuousScheduler, optimistic } from '@heddle/batcher';
import { pagedCache } from '@heddle/kvcache';
import { expect } from 'vitest';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { type Engine, loadModel, openEngine, type SamplerOptions, sampler } from '../index.ts';

async function collect(tokens: AsyncIterable<number>): Promise<number[]> {
  const all: number[] = [];
  for await (const token of tokens) all.push(token);
  return all;
}

const settings: readonly SamplerOptions[] = [
  { temperature: 0 },
  { temperature: 3, seed: 1 },
  { temperature: 2, topP: 0.9, topK: 12, seed: 2 },
  { temperature: 0, repetitionPenalty: 1.8, logitBias: { 3: 1.5 } },
  { temperature: 4, seed: 2 ** 45, noRepeatNgramSize: 2, frequencyPenalty: 0.2, badWords: [[4], [5, 6]] },
];

conformance('requests with different samplers in one engine', (device) => {
  test('each has the tokens that it has alone, and those that its sampler chooses on the host', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    let preempted = 0;
    const draw = (engine: Engine, i: number, { onHost = false, maxTokens = 9 } = {}) => {
      const own = sampler(settings[i]!);
      // without its settings a sampler chooses on the host
      const { settings: _, takesMostLikely: __, ...host } = own;
      const request = { tokens: [1 + i, 2, 3], maxTokens, sequence: i, sampler: onHost ? host : own };
      const onEvent = ({ type }: { readonly type: string }) => {
        if (type === 'preempted') preempted++;
      };
      return collect(engine.generate(request, { onEvent }));
    };
    const each = settings.map((_, i) => i);
    const engine = openEngine(model, { maxSequences: 3 });
    const alone: number[][] = [];
    for (const i of each) alone.push(await draw(engine, i));
    expect(new Set(alone.map(String)).size).toBe(settings.length);
    // more than run at once, so that lanes and blocks are taken again
    expect(await Promise.all([...each, ...each].map((i) => draw(engine, i)))).toEqual([...alone, ...alone]);
    expect(await Promise.all([...each].reverse().map((i) => draw(engine, i, { onHost: i % 2 === 0 })))).toEqual(
      [...alone].reverse(),
    );
    const long = await Promise.all(each.map((i) => draw(engine, i, { maxTokens: 24 })));
    expect(preempted).toBe(0);
    await engine.dispose();
    // so little room that requests lose their place, and begin again with the tokens that they have generated
    const tight = openEngine(model, {
      maxSequences: 3,
      cache: (on, size) => pagedCache(on, { ...size, blockSize: 4, tokens: 44 }),
      scheduler: (capacity, limits) =>
        continuousScheduler({ ...limits, capacity, admission: optimistic({ headroomTokens: 0 }) }),
    });
    expect(await Promise.all(each.map((i) => draw(tight, i, { maxTokens: 24 })))).toEqual(long);
    expect(preempted).toBeGreaterThan(0);
    await tight.dispose();
    await model.dispose();
  });
});
