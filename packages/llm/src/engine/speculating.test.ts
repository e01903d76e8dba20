import type { ScheduledSequence, SequenceResult } from '@heddle/batcher';
import { expect, test } from 'vitest';
import { greedy, type Speculation } from '../index.ts';
import type { DraftedEngine } from '../speculation/speculation.ts';
import type { ScheduledGeneration } from './request.ts';
import { Speculating } from './speculating.ts';

/** Guesses that every token is 1. */
const ones: Speculation = {
  name: 'ones',
  maxDrafts: 4,
  instant: true,
  open: () => ({
    draft: (wishes) => wishes.map(({ count }) => new Array<number>(count).fill(1)),
    end: () => {},
    [Symbol.dispose]: () => {},
  }),
};

/**
 * Steps of two sequences on a clock that the test turns: every token is 1, so every guess of the first is right; of the second none is,
 * for its tokens are 2.
 * @returns how many steps of each had drafts
 */
async function drafted(plainMs: number, verifyingMs: number, tokens: number, speculation = ones): Promise<number[]> {
  let now = 0;
  const engine = { model: { config: { vocabularySize: 9 } } } as DraftedEngine;
  const speculating = new Speculating(speculation, engine, Number.POSITIVE_INFINITY, () => now);
  const counts: number[] = [];
  for (const right of [true, false]) {
    const request = {
      ...{ id: `${right}`, stream: [5], promptTokens: 1, maxTokens: 10 * tokens, flights: 0, sequence: 0 },
      ...{ sampler: greedy(), choosesOnHost: false, serial: false, guessing: speculating.begin(undefined) },
    } as unknown as ScheduledGeneration;
    let [drafts, count] = [0, 0];
    while (request.stream.length < tokens) {
      now += drafts > 0 ? verifyingMs : plainMs;
      if (drafts > 0) count++;
      const given = right ? new Array<number>(drafts + 1).fill(1) : [2];
      request.stream.push(...given);
      const results: (SequenceResult | undefined)[] = [{ tokens: given }];
      await speculating.follow([{ request, drafts } as ScheduledSequence<ScheduledGeneration>], results);
      drafts = results[0]?.drafts ?? 0;
      expect(request.serial).toBe(drafts > 0);
    }
    speculating.end(request);
    // a pause, as of one that has lost its place: it is not a step
    now += 1e6;
    counts.push(count);
  }
  expect(speculating.counts.accepted).toBeGreaterThan(0);
  speculating.dispose();
  return counts;
}

test('what steps take decides whether guesses pay, by sequence', async () => {
  // four are right in a step that takes twice as long: 5 tokens for 2 steps
  const [right, wrong] = await drafted(1, 2, 400);
  expect(right).toBeGreaterThan(70);
  expect(wrong).toBeLessThan(25);
});

test('guesses that are right are no use where their steps take longer than the tokens one by one', async () => {
  const [right, wrong] = await drafted(1, 6.5, 400);
  expect(right).toBeLessThan(25);
  expect(wrong).toBeLessThan(25);
});

test('a cost of its own takes the place of what is measured', async () => {
  const [right, wrong] = await drafted(1, 100, 100, { ...ones, cost: () => -1 });
  expect(right).toBe(20);
  expect(wrong).toBe(98);
});
