import { describe, expect, it } from 'vitest';
import { isBatcherError } from '../errors.ts';
import { seededRandom } from '../load/random.ts';
import { longestPrefix } from '../policies/longest-prefix.ts';
import { byPriority } from '../policies/policies.ts';
import { randomWalk } from '../testing/random-walk.ts';
import { blockCapacity } from './block-capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import { recordTrace, replayTrace, type SchedulerTrace, type TracedParts } from './trace.ts';

const limits = { maxBatchTokens: 8, maxSequences: 3, maxPlansInFlight: 2 };

/** Records a random walk, on a clock and a capacity of which the replay knows nothing. */
function record(make: (parts: TracedParts) => ReturnType<typeof continuousScheduler>): SchedulerTrace {
  let now = 0;
  const counts = blockCapacity({ blocks: 24, blockSize: 1 });
  const random = seededRandom(3);
  const capacity = { ...counts, cachedTokens: () => Math.floor(random() * 4) };
  const { scheduler, trace } = recordTrace({ clock: () => now, capacity }, make);
  randomWalk(scheduler, {
    calls: 400,
    random,
    maxPromptTokens: 12,
    maxNewTokens: 8,
    maxPlansInFlight: 2,
    advance: (ms) => {
      now += ms;
    },
  });
  return trace;
}

describe('a trace', () => {
  const make = (parts: TracedParts) =>
    continuousScheduler({ ...limits, ...parts, policy: longestPrefix({ window: 4 }) });

  it('gives the same plans again, also after JSON', () => {
    const trace = record(make);
    expect(trace.calls.length).toBeGreaterThan(400);
    expect(replayTrace(trace, make)).toBeUndefined();
    expect(replayTrace(JSON.parse(JSON.stringify(trace)) as SchedulerTrace, make)).toBeUndefined();
  });

  it('tells where another scheduler would have done otherwise', () => {
    const trace = record(make);
    const other = (parts: TracedParts) => continuousScheduler({ ...limits, ...parts, maxChunkTokens: 2 });
    const found = (() => {
      try {
        return replayTrace(trace, other);
      } catch (error) {
        return error;
      }
    })();
    expect(found).toBeDefined();
    expect(isBatcherError(found, 'ERR_PROTOCOL') || Array.isArray((found as { got?: unknown }).got)).toBe(true);
  });

  it('keeps what the policy looks at, and nothing of the engine', () => {
    const capacity = blockCapacity({ blocks: 9, blockSize: 1 });
    const { scheduler, trace } = recordTrace({ clock: () => 5, capacity }, (parts) =>
      continuousScheduler({ ...limits, ...parts, policy: byPriority() }),
    );
    const request = { id: 'a', promptTokens: 1, maxTokens: 1, priority: 3, tokens: new Int32Array(9) };
    scheduler.add(request);
    expect(trace.calls).toEqual([
      { call: 'add', time: 5, capacity: [], request: { id: 'a', promptTokens: 1, maxTokens: 1, priority: 3 } },
    ]);
  });
});
