import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { summingModel } from '../../../../../test-support/summing-model.ts';
import { chromeTrace, openEngine, type StepTimes } from '../../index.ts';

test('an engine tells of each step, and counts what it did', async () => {
  const device = await openReference();
  const model = summingModel(device, 24);
  const steps: StepTimes[] = [];
  const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 24, onStep: (step) => steps.push(step) });
  expect(engine.stats()).toMatchObject({ steps: 0, computedTokens: 0, generatedTokens: 0, running: 0, waiting: 0 });
  const generate = async (tokens: number[]) => {
    for await (const _ of engine.generate({ tokens, maxTokens: 4 }));
  };
  await Promise.all([generate([1, 2, 3]), generate([4, 5]), generate([6])]);
  // of each, all tokens but the last are computed
  const stats = engine.stats();
  expect(stats).toMatchObject({ computedTokens: 3 + 2 + 1 + 9, generatedTokens: 12, running: 0, waiting: 0 });
  expect(stats.cache).toMatchObject({ sequences: 0, blocksUsed: 0 });
  expect(steps).toHaveLength(stats.steps);
  expect(steps.map(({ step }) => step)).toEqual([...steps].map(({ step }) => step).sort((a, b) => a - b));
  for (const { planned, begun, submitted, read, completed } of steps) {
    const times = [planned, begun, submitted, read, completed];
    expect(times).toEqual([...times].sort((a, b) => a - b));
  }
  const { traceEvents } = chromeTrace(steps);
  expect(traceEvents).toHaveLength(4 * steps.length);
  // bars of one row do not overlap
  for (const row of new Set(traceEvents.map(({ tid }) => tid)).values()) {
    if (row === 1) continue;
    let end = 0;
    for (const { ts, dur } of traceEvents.filter(({ tid }) => tid === row)) {
      expect(ts).toBeGreaterThanOrEqual(end - 1e-3);
      end = ts + dur;
    }
  }
  await engine.dispose();
  await device.dispose();
});
