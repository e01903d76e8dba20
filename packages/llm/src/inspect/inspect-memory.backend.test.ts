import { expect } from 'vitest';
import { readCheckpoint } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { loadModel } from '../load-model.ts';
import { inspectModel } from './inspect-model.ts';

conformance('memory that was said before', (device) => {
  test.for([
    ['llama', 'f32'],
    ['phi3-longrope', 'f16'],
    ['gemma4-shared', 'f16'],
    ['granite4-experts', 'f32'],
    ['gpt-oss', 'q8_0'],
    ['deepseek-v3', 'q8_0'],
    ['gpt2', 'q4_0'],
  ] as const)('a %s in %s takes it', async ([name, dtype], context) => {
    leaveToNode(context);
    if (backendName === 'reference') context.skip('it holds all values in float64');
    const files = { label: name, open: async (file: string) => (await readCheckpoint(`${name}/${file}`)) ?? undefined };
    const { memory, tableBytes } = await inspectModel(files, { dtype });
    const before = device().memory().live;
    await using model = await loadModel(files, { device: device(), dtype });
    const held = device().memory().live - before;
    const said = memory.total + tableBytes;
    expect(Math.abs(held / said - 1), `${held} bytes of ${model.config.architecture}, said ${said}`).toBeLessThan(0.05);
  });
});
