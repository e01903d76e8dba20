import { expect, it } from 'vitest';
import { blockCapacity } from './block-capacity.ts';
import { continuousScheduler } from './continuous-scheduler.ts';
import { recordTrace } from './trace.ts';

it('a trace keeps every wish of a request', () => {
  const capacity = blockCapacity({ blocks: 8, blockSize: 4 });
  const parts = { capacity, clock: () => 0 };
  const make = (with_: typeof parts) => continuousScheduler({ maxBatchTokens: 8, maxSequences: 2, ...with_ });
  const { scheduler, trace } = recordTrace(parts, (traced) => make(traced as typeof parts));
  const wishes = { priority: 1, tenant: 't', deadlineMs: 50, expectedTokens: 2, parent: 'p', serial: true };
  const request = { id: 'a', promptTokens: 3, maxTokens: 4, ...wishes };
  expect(scheduler.add(request).accepted).toBe(true);
  expect(trace.calls).toMatchObject([{ call: 'add', request }]);
});
