import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { runs, times } from '../../../../test-support/properties.ts';
import { type Random, seededRandom } from '../load/random.ts';
import { fairShare } from '../policies/fair-share.ts';
import { longestPrefix } from '../policies/longest-prefix.ts';
import { byPriority, earliestDeadline, firstCome, shortestRemaining } from '../policies/policies.ts';
import type { Policy } from '../policies/policy.ts';
import { auditedCapacity } from '../testing/audited-capacity.ts';
import { auditedScheduler } from '../testing/audited-scheduler.ts';
import { randomWalk } from '../testing/random-walk.ts';
import { type AdmissionRule, estimated, optimistic, reserveAll } from './admission.ts';
import { blockCapacity, slotCapacity } from './block-capacity.ts';
import type { Capacity } from './capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';

// Machines that do much else at the same time are slow.
vi.setConfig({ testTimeout: 60_000 * times });

const policies: (() => Policy)[] = [
  firstCome,
  () => byPriority({ ageingMs: 20 }),
  () => byPriority({ ageingMs: Number.POSITIVE_INFINITY, preemptive: true }),
  () => shortestRemaining({ msPerToken: 1, preemptive: true }),
  () => earliestDeadline({ preemptive: true }),
  () => longestPrefix({ window: 4, patience: 3 }),
  () => fairShare(),
];
const rules: (() => AdmissionRule)[] = [
  reserveAll,
  () => optimistic({ headroomTokens: 0 }),
  () => optimistic({ headroomTokens: 8 }),
  () => estimated({ minSamples: 4, quantile: 0.5 }),
];

const settings = fc.record({
  seed: fc.integer(),
  maxBatchTokens: fc.integer({ min: 1, max: 40 }),
  maxSequences: fc.integer({ min: 1, max: 12 }),
  maxChunkTokens: fc.integer({ min: 1, max: 40 }),
  maxPlansInFlight: fc.integer({ min: 1, max: 3 }),
  maxWaiting: fc.constantFrom(5, Number.POSITIVE_INFINITY),
  blocks: fc.integer({ min: 8, max: 24 }),
  blockSize: fc.constantFrom(1, 4),
  caches: fc.boolean(),
  slots: fc.constantFrom(false, false, true),
  policy: fc.constantFrom(...policies),
  rule: fc.constantFrom(rules[1]!, ...rules),
});

/** A capacity that now and then finds tokens in its cache, shares a parent's, or is not ready. */
function caching(capacity: Capacity, random: Random): Capacity {
  return {
    ...capacity,
    admit(request, tokens, length, parent) {
      if (random() < 0.2) return 'pending';
      const admitted = capacity.admit(request, tokens, length, parent);
      if (admitted === 'full') return 'full';
      return parent ? request.promptTokens - 1 : Math.floor(random() * (length + 1));
    },
    cachedTokens: (request) => Math.floor(random() * request.promptTokens),
  };
}

describe('the continuous scheduler against a model', () => {
  it('keeps every rule over 60,000 random calls', () => {
    let steps = 0;
    let preemptions = 0;
    fc.assert(
      fc.property(settings, (drawn) => {
        const { blocks, blockSize, policy, rule, seed, slots, caches, ...limits } = drawn;
        let time = 0;
        const counts = slots ? slotCapacity({ slots: 4, tokensPerSlot: 40 }) : blockCapacity({ blocks, blockSize });
        const random = seededRandom(seed);
        const capacity = auditedCapacity(caches ? caching(counts, random) : counts);
        const options = { ...limits, capacity, policy: policy(), admission: rule(), clock: () => time };
        const scheduler = auditedScheduler(continuousScheduler(options), limits);
        const outcome = randomWalk(scheduler, {
          calls: 200,
          random,
          maxPromptTokens: 30,
          maxNewTokens: 12,
          maxPlansInFlight: limits.maxPlansInFlight,
          advance: (ms) => {
            time += ms;
          },
        });
        steps += outcome.steps;
        preemptions += outcome.preemptions;
        expect(capacity.open.size).toBe(0);
        expect(capacity.pending.size).toBe(0);
        expect(counts.free).toBe(counts.total);
        expect(scheduler.idle).toBe(true);
      }),
      runs(300),
    );
    // The walk must have gone where it is hard.
    expect(steps).toBeGreaterThan(20_000);
    expect(preemptions).toBeGreaterThan(100);
  });
});
