import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../test-support/properties.ts';
import { isBatcherError } from './errors.ts';
import * as batcher from './index.ts';
import * as load from './load.ts';
import * as testing from './testing.ts';

const { blockCapacity, continuousBatcher, continuousScheduler, dynamicBatcher } = batcher;

/** Plain values, as a program in JavaScript or a parsed file passes them by mistake. */
const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(undefined, null, Number.NaN, -1, 1.5, 0, '', 'text', true, [], [undefined], {}),
  fc.constantFrom(() => undefined, Symbol.iterator, { run: 1 }, { maxBatchSize: 'many' }, { capacity: {} }),
  fc.dictionary(fc.string(), fc.anything({ maxDepth: 1 }), { maxKeys: 3 }),
);

/** What takes anything at all, by design. */
const takesAnything = new Set([
  'failed',
  'isFailed',
  'isBatcherError',
  'AuditError',
  'ContractError',
  'BatcherError',
  'RejectedError',
]);

const isClass = (value: unknown) =>
  typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));

/** Runs it; whether it went well, or ended in an error of this package. */
async function answersWell(run: () => unknown): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (isBatcherError(error)) return true;
    throw error;
  }
}

const exported = Object.entries({ ...batcher, ...load, ...testing }).filter(([name]) => !takesAnything.has(name));

describe('junk', () => {
  it.each(exported)('given to %s ends in an error of this package, or in nothing', async (_name, value) => {
    const call = value as (...args: unknown[]) => unknown;
    const make = value as new (...args: unknown[]) => unknown;
    await fc.assert(
      fc.asyncProperty(fc.array(junk, { maxLength: 3 }), (args) =>
        answersWell(() => (isClass(value) ? new make(...args) : call(...args))),
      ),
      runs(60),
    );
  });

  it('given to the calls of a scheduler, a batcher and a stream does so too, and leaves them in order', async () => {
    await fc.assert(
      fc.asyncProperty(junk, junk, async (a, b) => {
        const capacity = blockCapacity({ blocks: 16, blockSize: 4 });
        const scheduler = continuousScheduler({ maxBatchTokens: 16, maxSequences: 2, capacity });
        const run = (plan: batcher.StepPlan) => plan.sequences.map(() => ({ tokens: [1] }));
        const loop = continuousBatcher({ scheduler, run });
        const single = dynamicBatcher({
          maxBatchSize: 1,
          maxWaitMs: 0,
          run: async (items: readonly unknown[]) => items,
        });
        const [x, y] = [a as never, b as never];
        await answersWell(() => scheduler.add(x));
        await answersWell(() => scheduler.commit(x, y));
        await answersWell(() => scheduler.discard(x));
        for (const call of ['abort', 'pause', 'resume'] as const) await answersWell(() => scheduler[call](x));
        await answersWell(() => loop.generate(x, y));
        await answersWell(() => single(1, y));
        expect(await single(2)).toBe(2);
        const stream = loop.generate({ id: 'sound', promptTokens: 2, maxTokens: 1 });
        expect(await stream.next()).toEqual({ done: false, value: 1 });
        await answersWell(() => loop.close(x));
        await loop.close();
        expect(capacity.free).toBe(capacity.total);
      }),
      runs(100),
    );
  });

  it('in the results of a step is refused before anything changes', () => {
    fc.assert(
      fc.property(junk, (result) => {
        const capacity = blockCapacity({ blocks: 16, blockSize: 4 });
        const scheduler = continuousScheduler({ maxBatchTokens: 16, maxSequences: 2, capacity });
        scheduler.add({ id: 'a', promptTokens: 2, maxTokens: 4 });
        const plan = scheduler.step();
        try {
          scheduler.commit(plan, [result as never]);
        } catch (error) {
          expect(isBatcherError(error, 'ERR_PROTOCOL')).toBe(true);
          scheduler.commit(plan, [{ tokens: [1] }]);
        }
        expect(scheduler.step().sequences[0]).toMatchObject({ start: 2, end: 3 });
      }),
      runs(100),
    );
  });

  it('is named, with what there is', () => {
    const run = async (items: readonly number[]) => items;
    const options = { run, maxBatchSize: 1, maxWaitMs: 0 };
    expect(() => dynamicBatcher({ ...options, maxBatchsize: 2 } as never)).toThrow(
      "dynamicBatcher: there is no option 'maxBatchsize'; there are run, maxBatchSize, maxWaitMs, maxQueue",
    );
    expect(() => dynamicBatcher({ ...options, run: undefined } as never)).toThrow(
      'dynamicBatcher: run must be a function, got undefined',
    );
    expect(() => dynamicBatcher({ ...options, maxBatchSize: '8' } as never)).toThrow(
      "dynamicBatcher: maxBatchSize must be an integer of at least 1, got '8'",
    );
    expect(() => continuousScheduler({ maxBatchTokens: 1, maxSequences: 1, capacity: {} } as never)).toThrow(
      'continuousScheduler: capacity must be an object with admit, reserve, release, got an object',
    );
    expect(() => batcher.byPriority({ ageing: 3 } as never)).toThrow(
      "byPriority: there is no option 'ageing'; there are ageingMs, preemptive",
    );
  });

  it('that options answer fails the one item', async () => {
    const run = async (items: readonly number[]) => items;
    const junkKey = dynamicBatcher({
      run,
      maxBatchSize: 1,
      maxWaitMs: 0,
      keyOf: (item) => (item === 1 ? (3 as never) : ''),
    });
    await expect(junkKey(1)).rejects.toThrow('dynamicBatcher: what keyOf answers must be a string, got 3');
    expect(await junkKey(2)).toBe(2);
    const weightless = continuousScheduler({
      maxBatchTokens: 8,
      maxSequences: 1,
      capacity: blockCapacity({ blocks: 4, blockSize: 4 }),
      policy: batcher.fairShare({ weightOf: (tenant) => (tenant === 'none' ? 0 : 1) }),
    });
    expect(() => weightless.add({ id: 'a', promptTokens: 1, maxTokens: 1, tenant: 'none' })).toThrow(
      "fairShare: the weight of tenant 'none' must be a number greater than 0, got 0",
    );
    expect(weightless.idle).toBe(true);
    expect(weightless.add({ id: 'a', promptTokens: 1, maxTokens: 1 }).accepted).toBe(true);
  });
});
