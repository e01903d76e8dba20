import { expect, it } from 'vitest';
import type { Capacity } from './capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import type { SchedulerEvent, StepPlan } from './scheduler.ts';

const running = 256;

/** Bytes on the heap that a call takes: the median of many, since a collection in between hides some. */
function bytesOf(call: () => void): number {
  const taken = Array.from({ length: 200 }, () => {
    const before = process.memoryUsage().heapUsed;
    call();
    return process.memoryUsage().heapUsed - before;
  });
  return taken.sort((a, b) => a - b)[100]!;
}

/** A plan and events like those of a step, made by hand. */
function madeByHand(plan: StepPlan, time: number): unknown {
  const entries = new Array<unknown>(plan.sequences.length);
  const events: SchedulerEvent[] = [];
  for (let i = 0; i < plan.sequences.length; i++) {
    const { id, request, start, end, drafts, yields } = plan.sequences[i]!;
    entries[i] = { id, request, start, end, drafts, yields };
    events.push({ type: 'token', id, request, time, token: 7, index: start });
  }
  return [{ step: plan.step, sequences: entries, tokens: plan.tokens }, events];
}

it('a step of 256 sequences and its commit allocate what they return, and nothing else', () => {
  const endless: Capacity = { maxSequenceTokens: 2 ** 40, admit: () => 0, reserve: () => true, release: () => {} };
  let time = 0;
  const scheduler = continuousScheduler({
    maxBatchTokens: 512,
    maxSequences: running,
    capacity: endless,
    clock: () => time++,
  });
  for (let i = 0; i < running; i++) scheduler.add({ id: `r${i}`, promptTokens: 1, maxTokens: 2 ** 30 });
  const results = Array.from({ length: running }, () => ({ tokens: [7] }));
  let plan = scheduler.step();
  let kept: unknown = scheduler.commit(plan, results);
  const step = () => {
    plan = scheduler.step();
    kept = scheduler.commit(plan, results);
  };
  const hand = () => {
    kept = madeByHand(plan, time);
  };
  // Until the compiler has seen enough, loops allocate their iterators.
  for (let i = 0; i < 4000; i++) {
    step();
    hand();
  }
  const byHand = bytesOf(hand);
  const extra = bytesOf(step) - byHand;
  expect(byHand).toBeGreaterThan(running * 100); // it is measured at all
  expect(Math.abs(extra)).toBeLessThan(running); // less than a byte a sequence
  expect(kept).toBeDefined();
});
