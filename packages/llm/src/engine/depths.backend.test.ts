import { flash } from '@heddle/attention';
import { continuousScheduler, optimistic } from '@heddle/batcher';
import { pagedCache } from '@heddle/kvcache';
import { expect } from 'vitest';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { createEngine, type Engine, type GenerationRequest, greedy, loadModel, sampler } from '../index.ts';

const system = [1, 9, 4, 7, 2, 11, 5, 3];
const requests: readonly GenerationRequest[] = [
  { tokens: [...system, 6], maxTokens: 12 },
  { tokens: [...system, 6], maxTokens: 12, sampler: sampler({ temperature: 3, seed: 4 }) },
  { tokens: [...system, 12, 1, 2], maxTokens: 10, stopTokens: [3, 5] },
  { tokens: [2], maxTokens: 16 },
  { tokens: [8, 8, 8, 1, 10, 2, 3, 4, 5, 6, 7], maxTokens: 1 },
];

conformance('greedy tokens and draws', (device) => {
  test('are those of the request alone: together, in chunks, preempted, after a prefix, at every depth', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const open = (stepsInFlight: number, maxSequences: number, tokens: number): Engine => {
      const limits = { maxBatchTokens: 4, maxSequences };
      const sizes = { shape: model.kvShape, maxSequences, maxSequenceTokens: 24, blockSize: 4, tokens };
      const admission = optimistic({ headroomTokens: 0 });
      return createEngine({
        device: device(),
        model,
        attention: flash(),
        cache: pagedCache(device(), { ...sizes, maxBatchTokens: 4 }),
        scheduler: (capacity) =>
          continuousScheduler({ ...limits, capacity, admission, maxPlansInFlight: stepsInFlight }),
        sampler: greedy(),
        maxBatchTokens: 4,
        stepsInFlight,
      });
    };
    const collect = async (engine: Engine, request: GenerationRequest, onEvent = (_: { type: string }) => {}) => {
      const tokens: number[] = [];
      for await (const token of engine.generate(request, { onEvent })) tokens.push(token);
      return tokens;
    };
    const alone = open(1, 1, 96);
    const expected: number[][] = [];
    for (const request of requests) expected.push(await collect(alone, request));
    await alone.dispose();
    expect(expected.map(({ length }) => length)).toEqual([12, 12, expect.any(Number), 16, 1]);
    for (const depth of [1, 2, 3]) {
      const engine = open(depth, 3, 28);
      let preemptions = 0;
      const count = ({ type }: { type: string }) => {
        if (type === 'preempted') preemptions++;
      };
      const all = [...requests, ...requests];
      const results = await Promise.all(all.map((request) => collect(engine, request, count)));
      expect(results).toEqual([...expected, ...expected]);
      expect(preemptions).toBeGreaterThan(0);
      // now that the device knows their beginnings
      expect(await collect(engine, requests[0]!)).toEqual(expected[0]);
      await engine.dispose();
    }
    await model.dispose();
  }, 240_000);
});
