import { seededRandom } from '@heddle/batcher/load';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { times } from '../../../../test-support/properties.ts';
import { summedLogits, summingModel } from '../../../../test-support/summing-model.ts';
import { greedy, openEngine } from '../index.ts';

/** The tokens of a greedy request, by the model written out. */
function expected(prompt: readonly number[], maxTokens: number): number[] {
  const stream = [...prompt];
  for (let step = 0; step < maxTokens; step++)
    stream.push(greedy().sample(Float32Array.from(summedLogits(stream)), { step, sequence: 0 }));
  return stream.slice(prompt.length);
}

test('a thousand requests that are aborted before, between and after their tokens leave nothing, and others go on', async () => {
  const device = await openReference();
  const model = summingModel(device, 24);
  const empty = device.memory().live;
  const engine = openEngine(model, { maxSequences: 8, maxSequenceTokens: 24, maxBatchTokens: 32, stepsInFlight: 2 });
  const random = seededRandom(7);
  const upTo = (count: number) => Math.floor(random() * count);
  const one = async (number: number): Promise<'whole' | 'left' | 'aborted'> => {
    const tokens = Array.from({ length: 1 + upTo(8) }, () => upTo(16));
    const [maxTokens, kind, at] = [1 + upTo(5), upTo(10), upTo(3)];
    const controller = new AbortController();
    const stream = engine.generate({ tokens, maxTokens }, { signal: controller.signal });
    const got: number[] = [];
    try {
      if (kind < 4 && at === 0) controller.abort(new Error(`abort ${number}`));
      for await (const token of stream) {
        got.push(token);
        if (kind >= 1 || got.length < at) continue;
        return 'left';
      }
    } catch (error) {
      expect((error as Error).message).toBe(`abort ${number}`);
      expect(await stream.ended).toMatchObject({ reason: 'aborted' });
      return 'aborted';
    } finally {
      controller.abort();
    }
    expect(got).toEqual(expected(tokens, maxTokens));
    return 'whole';
  };
  const counts = { whole: 0, left: 0, aborted: 0 };
  let next = 0;
  const reader = async () => {
    while (next < 1000 * times) counts[await one(next++)]++;
  };
  await Promise.all(Array.from({ length: 16 }, reader));
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(20);
  await engine.dispose();
  await device.trim();
  expect(device.memory().live).toBeLessThanOrEqual(empty);
  await device.dispose();
}, 240_000);
