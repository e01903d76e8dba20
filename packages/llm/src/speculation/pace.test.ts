import { seededRandom } from '@heddle/batcher/load';
import { expect, test } from 'vitest';
import { Pace } from './pace.ts';
import { StepCosts } from './step-costs.ts';
import { TrimmedMean } from './trimmed-mean.ts';

/** An engine and a text on a simulated clock. */
interface Simulated {
  /** Between tokens without drafts, with steps in flight. */
  readonly plainMs: number;
  /** Of a step that nothing is in flight behind: one with drafts, and the first without. */
  readonly waitMs: number;
  /** More with each draft. */
  readonly draftMs: number;
  /** How likely each guess is right while those before it were. */
  readonly right: number;
  /** How often there is a guess at all. */
  readonly found: number;
  /** The first steps with so many rows as have not been before wait so long for their kernels. Default 0. */
  readonly makingMs?: number;
}

/** How fast tokens come, in steps without drafts, and what was tried; `always` guesses without asking whether it pays. */
function run({ plainMs, waitMs, draftMs, right, found, makingMs = 0 }: Simulated, tokens: number, always: boolean) {
  const random = seededRandom(7);
  const costs = new StepCosts();
  const pace = new Pace(8, always ? { cost: () => -1, refill: 0, unknown: false } : costs);
  // by a fifth more or less, and one in a hundred takes fifty times as long
  const took = (ms: number) => ms * (0.8 + 0.4 * random()) * (random() < 0.01 ? 50 : 1);
  let [time, ideal, done, verifying, late] = [0, 0, 0, 0, 0];
  const made = new Set<number>();
  while (done < tokens) {
    const drafts = random() < found ? pace.length : 0;
    const isRefill = drafts === 0 && pace.verifies;
    const usual = drafts > 0 || isRefill ? waitMs + draftMs * drafts : plainMs;
    const bucket = Math.ceil(Math.log2(1 + drafts));
    const ms = took(usual) + (made.has(bucket) ? 0 : makingMs);
    made.add(bucket);
    time += usual;
    if (drafts > 0) {
      let ok = 0;
      while (ok < drafts && random() < right) ok++;
      costs.verified(drafts, ms);
      pace.verified(drafts, ok);
      done += ok + 1;
      ideal += (ok + 1) * plainMs;
      verifying++;
      if (done > tokens / 2) late++;
    } else {
      if (isRefill) costs.refilled(ms);
      else costs.plain(ms);
      pace.passed(1);
      done++;
      ideal += plainMs;
    }
  }
  return { rate: ideal / time, verifying, late };
}

const fast = { plainMs: 1, waitMs: 1.4, draftMs: 0.03 };
const slow = { plainMs: 1, waitMs: 2.5, draftMs: 0.2 };
const cheap = { plainMs: 30, waitMs: 31, draftMs: 0.3 };

test.for<[string, Simulated, 'pays' | 'loses']>([
  ['text that repeats itself', { ...fast, right: 0.95, found: 1 }, 'pays'],
  ['the same where kernels are made while it runs', { ...fast, right: 0.95, found: 1, makingMs: 300 }, 'pays'],
  ['the same where waiting is expensive', { ...slow, right: 0.98, found: 1 }, 'pays'],
  ['guesses of which half are right, where they cost little', { ...cheap, right: 0.5, found: 1 }, 'pays'],
  ['guesses of which one in ten is right, where they cost little', { ...cheap, right: 0.1, found: 1 }, 'pays'],
  ['guesses of which half are right, where waiting is expensive', { ...slow, right: 0.5, found: 1 }, 'loses'],
  ['guesses that are wrong', { ...fast, right: 0, found: 1 }, 'loses'],
  ['few guesses, of which some are right', { ...slow, right: 0.4, found: 0.3 }, 'loses'],
])('%s: what pays is kept, what does not is tried rarely', ([, simulated, what]) => {
  const always = run(simulated, 6000, true);
  const own = run(simulated, 6000, false);
  if (what === 'pays') {
    expect(always.rate).toBeGreaterThan(1);
    expect(own.rate).toBeGreaterThan(1 + 0.8 * (always.rate - 1));
  } else {
    expect(always.rate).toBeLessThan(0.95);
    expect(own.rate).toBeGreaterThan(0.985);
    // it tries again, now and then
    expect(own.late).toBeGreaterThan(1);
    expect(own.verifying).toBeLessThan(60);
  }
});

test('a text that begins to repeat itself is found out', () => {
  const costs = new StepCosts();
  const pace = new Pace(8, costs);
  const token = (right: number) => {
    const drafts = pace.length;
    if (drafts > 0) {
      costs.verified(drafts, 2);
      pace.verified(drafts, Math.min(right, drafts));
    } else {
      costs.plain(1);
      pace.passed(1);
    }
    return drafts;
  };
  for (let i = 0; i < 500; i++) token(0);
  let drafted = 0;
  for (let i = 0; i < 1100; i++) drafted += token(8) > 0 ? 1 : 0;
  expect(drafted).toBeGreaterThan(500);
});

test('means without what is far off', () => {
  const mean = new TrimmedMean(5);
  expect(mean.value).toBeNaN();
  mean.add(4);
  expect(mean.value).toBe(4);
  for (const value of [1000, 6, 8, -50]) mean.add(value);
  expect(mean.value).toBe(6);
  // the oldest goes first
  for (const value of [1, 1, 1]) mean.add(value);
  expect(mean.value).toBe((1 + 1 + 1) / 3);
  expect(mean.count).toBe(5);
});
